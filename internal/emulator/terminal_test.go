package emulator_test

import (
	"strings"
	"testing"

	"banger/internal/emulator"
)

// shown is what a terminal of some size shows after bytes, rows joined by "|", without
// blanks and empty rows at the end.
func shown(rows, cols int, written string) string {
	l := ours(story{rows: rows, cols: cols, steps: []token{{step: step{text: written}}}})
	var lines []string
	for _, row := range l.rows {
		var b strings.Builder
		for _, g := range row {
			b.WriteString(g.text)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return strings.TrimRight(strings.Join(lines, "|"), "|")
}

func TestTerminal_LosesNothing(t *testing.T) {
	for _, c := range []struct{ what, written, want string }{
		{"a wide character that does not fit goes to the next row", strings.Repeat("x", 9) + "漢", "xxxxxxxxx|漢"},
		{"so does an emoji", strings.Repeat("x", 9) + "😀", "xxxxxxxxx|😀"},
		{"what follows a wide one at the margin is on the next row", strings.Repeat("x", 8) + "漢x", "xxxxxxxx漢|x"},
		{"text of wide characters wraps whole", "漢字漢字漢字漢", "漢字漢字漢|字漢"},
		{"wide characters are deleted by columns", "漢字漢字\r\x1b[2P", "字漢字"},
		{"half of a wide character is a blank", "漢字\x1b[2Gx", " x字"},
		{"a byte that is not UTF-8 takes nothing with it", "caf\xe9\nnext", "caf\ufffd|    next"},
		{"nor a sequence", "a\xe9\x1b[31mred", "a\ufffdred"},
		{"nor another character", "\xe6\xbcx\xf0\x9f\x98y\xff漢", "\ufffdx\ufffdy\ufffd漢"},
		{"to erase to the cursor leaves the rest", "abcdef\x1b[3D\x1b[1J", "    ef"},
		{"CSI s and CSI u", "abc\x1b[s\r\nmore\x1b[uX", "abcX|more"},
		{"insert mode", "abc\r\x1b[4hX\x1b[4lY", "XYbc"},
		{"ESC E", "abc\x1bEd", "abc|d"},
		{"CSI 0 C is one column", "a\x1b[0Cb", "a b"},
		{"?47 is an empty screen", "main\x1b[?47h\rother", "other"},
		{"?47 comes back", "main\x1b[?47h\rother\x1b[?47l", "main"},
		{"?1047 comes back", "main\x1b[?1047h\rother\x1b[?1047l", "main"},
		{"?1049 brings the cursor back", "main\x1b[?1049h\x1b[2;2Hother\x1b[?1049l+", "main+"},
		{"DECALN", "\x1b#8\x1b[2;1H\x1b[J", "EEEEEEEEEE"},
		{"C1 controls in UTF-8 are none", "a\u009b31mb\u0085c", "a31mbc"},
		{"line drawing", "\x1b(0lqk\x1b(Bq", "┌─┐q"},
		{"G1 is chosen by SO", "\x1b)0q\x0eq\x0fq", "q─q"},
		{"marks belong to the character before", "e\u0301\u0323x", "e\u0301\u0323x"},
		{"so they do in the last column", strings.Repeat("x", 9) + "e\u0301y", "xxxxxxxxxe\u0301|y"},
		{"emoji are joined", "👩\u200d🚀x", "👩\u200d🚀x"},
		{"wrapping off", "\x1b[?7lto the margin and over it", "to the mat"},
		{"a cursor that was saved while wrapping is off is in the last column, not behind it", "\x1b[?7l0123456789\x1b7\x1b[?7h\x1b8x", "012345678x"},
		{"REP", "ab\x1b[3bc", "abbbbc"},
		{"margins", "\x1b[2;3r\x1b[1;1Htop\x1b[2;1Ha\r\nb\r\nc", "top|b|c"},
		{"origin mode", "\x1b[2;3r\x1b[?6h\x1b[1;1Ha", "|a"},
		{"insert and delete lines", "1\r\n2\r\n3\x1b[2;1H\x1b[L\x1b[1;1H\x1b[M", "|2|3"},
		{"pictures are passed over", "a\x1bPq#0;2;0;0;0#0~~@@\x1b\\b\x1b_Gf=100,a=T;AAAA\x1b\\c\x1b]1337;File=inline=1:AAAA\ad", "abcd"},
		{"controls within sequences are carried out", "a\x1b[3\n1mb", "a| b"},
		{"CAN ends a sequence", "a\x1b[31\x18mb", "amb"},
		{"REP and ECH of more than there is", "x\x1b[999999999b\x1b[999999999D\x1b[2X", "  xxxxxxxx"},
	} {
		if got := shown(4, 10, c.written); got != c.want {
			t.Errorf("%s: %q shows %q, want %q", c.what, c.written, got, c.want)
		}
	}
}

func TestTerminal_Styles(t *testing.T) {
	indexed := func(n int) emulator.Color { return emulator.Color(1<<24 | n) }
	direct := func(n int) emulator.Color { return emulator.Color(2<<24 | n) }
	for sgr, want := range map[string]glyph{
		"1;2;3;5;7;8;9;53": {attributes: emulator.Bold | emulator.Faint | emulator.Italic | emulator.Blink | emulator.Inverse | emulator.Hidden | emulator.Struck | emulator.Overlined},
		"1;2;3;53;22;55":   {attributes: emulator.Italic},
		"21":               {underline: emulator.DoubleUnderline},
		"4:3":              {underline: emulator.CurlyUnderline},
		"4;24":             {},
		"31;42":            {foreground: indexed(1), background: indexed(2)},
		"95;107":           {foreground: indexed(13), background: indexed(15)},
		"38;5;200;1":       {foreground: indexed(200), attributes: emulator.Bold},
		"38:5:9;48;5;17":   {foreground: indexed(9), background: indexed(17)},
		"38;2;1;2;3;4":     {foreground: direct(0x010203), underline: emulator.SingleUnderline},
		"38:2::1:2:3":      {foreground: direct(0x010203)},
		"38:2:1:2:3":       {foreground: direct(0x010203)},
		"58;5;3;4":         {underline: emulator.SingleUnderline},
		"38;5;300;38;2;1":  {},
		"31;":              {},
		"":                 {},
	} {
		want.text = "x"
		l := ours(story{rows: 1, cols: 2, steps: []token{{step: step{text: "\x1b[" + sgr + "mx"}}}})
		if got := l.rows[0][0]; got != want {
			t.Errorf("SGR %s: %+v, want %+v", sgr, got, want)
		}
	}
}

func TestTerminal_KnowsLinks(t *testing.T) {
	term := emulator.New(1, 10)
	_, _ = term.Write([]byte("\x1b]8;id=1;http://a/\x1b\\x\x1b[0my\x1b]8;;\ab\x1b]8;;http://" + strings.Repeat("l", 5000) + "\az"))
	for col, want := range []string{"http://a/", "http://a/", "", ""} {
		if got := term.LinkOf(term.Style(term.Cell(0, col))); got.URI != want {
			t.Errorf("column %d is a link to %q, want %q", col, got.URI, want)
		}
	}
}

// Whatever comes, what is kept stays bounded: by what the screen can show.
func TestTerminal_ForgetsStylesThatNothingHas(t *testing.T) {
	term := emulator.New(3, 40)
	var b []byte
	for n := range 70_000 {
		b = append(b, "\x1b[38;2;"...)
		b = append(b, []byte{'1', ';', byte('0' + n%10), byte('0' + n/10%10), ';', byte('0' + n/100%10), byte('0' + n/1000%10), 'm'}...)
		b = append(b, "\x1b[48;2;0;"...)
		b = append(b, []byte{byte('0' + n/10000%10), byte('0' + n/100000%10), ';', '7', 'm', 'e'}...)
		b = append(b, "\u0301"...)
	}
	_, _ = term.Write(b)
	if n := term.Interned(); n > 3<<16 {
		t.Errorf("%d styles and clusters are kept for 120 cells", n)
	}
	if got := term.Text(term.Cell(0, 0)); got != "e\u0301" {
		t.Errorf("the first cell is %q", got)
	}
}

func TestTerminal_ResizeKeepsTheRowsAboveTheCursor(t *testing.T) {
	term := emulator.New(4, 10)
	_, _ = term.Write([]byte("1\r\n2\r\n3\r\n4漢字漢字\x1b[3;2H"))
	term.Resize(2, 4)
	if got := lookOf(term).difference(look{row: 1, col: 1, rows: [][]glyph{{{text: "2"}}, {{text: "3"}}}}, &libvterm{}); got != "" {
		t.Error(got)
	}
	if c := term.Cursor(); c.Row != 1 || c.Col != 1 {
		t.Errorf("the cursor is at %+v", c)
	}
}

func TestTerminal_MarginsStayWhereTheRowsDo(t *testing.T) {
	for rows, want := range map[int]int{6: 2, 7: 0} {
		term := emulator.New(6, 10)
		_, _ = term.Write([]byte("\x1b[3r\x1b[6;1H"))
		term.Resize(rows, 8)
		_, _ = term.Write([]byte("\x1b[9A"))
		if c := term.Cursor(); c.Row != want {
			t.Errorf("of 6 rows come %d: the cursor goes up to row %d, want %d", rows, c.Row, want)
		}
	}
}

func TestTerminal_KnowsWhatItHasNotSeen(t *testing.T) {
	for written, want := range map[string]bool{
		"":                       false,
		"\x1b[2J":                true,
		"\r\n\r\n\r\n\r\n\r\n":   true,
		"\x1b[2;1H\x1b[J":        false,
		"\x1b[?1049h":            true,
		"a\x1b[K\r\nb\x1b[K\r\n": false,
	} {
		term := emulator.New(3, 5)
		term.Forget()
		_, _ = term.Write([]byte(written))
		if term.Known() != want {
			t.Errorf("after %q all is known: %v", written, !want)
		}
	}
}

func TestTerminal_TellsWhatIsUnfinished(t *testing.T) {
	for written, want := range map[string]int64{
		"text": 0, "a\x1b": 1, "a\x1b[3": 3, "a\x1b[31m": 0, "漢\xe6\xbc": 2, "a\x1b]0;title": 9, "a\x1b]0;title\x1b": 10, "a\x1b]0;title\x1b\\": 0,
	} {
		for cut := range len(written) + 1 {
			term := emulator.New(3, 5)
			_, _ = term.Write([]byte(written[:cut]))
			_, _ = term.Write([]byte(written[cut:]))
			if got := term.Unfinished(); got != want {
				t.Errorf("after %q, cut at %d, %d bytes are unfinished, want %d", written, cut, got, want)
			}
		}
	}
}

// CBT takes a pending wrap back even where there is no column to the left.
func TestTerminal_BackTabInTheOnlyColumnIsNotBehindIt(t *testing.T) {
	if got := shown(3, 1, "x\x1b[Zy"); got != "y" {
		t.Errorf("it shows %q, want y in the place of x", got)
	}
}
