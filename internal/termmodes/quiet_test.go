package termmodes_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"banger/internal/termmodes"
)

// loud is what must not reach a terminal a second time.
var loud = map[string][]string{
	"questions": {"\x1b[c", "\x1b[0c", "\x1b[>c", "\x1b[=c", "\x1bZ", "\x1b[5n", "\x1b[6n", "\x1b[?6n", "\x1b[?996n", "\x1b[?2026$p", "\x1b[4$p", "\x1b[?u",
		"\x1b[>q", "\x1b[>0q", "\x1b[?4m", "\x1b[14t", "\x1b[18t", "\x1b[21t", "\x1b[x", "\x1b[?1;1;0S", "\x1b[1$w", "\x1b[1;1;1;1;1;1*y", "\x1b['|", "\x1b[#R",
		"\x1bP$qm\x1b\\", "\x1bP+q544e\x1b\\", "\x1b]4;1;?\x07", "\x1b]10;?\x1b\\", "\x1b]11;?\x07", "\x1b]12;?\x07", "\x1b]21;cursor=?\x07", "\x1b]22;?a\x07",
		"\x1b]52;c;?\x07", "\x05", "\x1b_Ga=q,i=1;AAAA\x1b\\", "\x1b_Gi=1;AAAA\x1b\\"},
	"clipboards":           {"\x1b]52;c;aGVsbG8=\x07", "\x1b]5522;x\x07"},
	"notifications":        {"\x1b]9;done\x07", "\x1b]99;;done\x1b\\", "\x1b]777;notify;a;b\x07", "\x07", "\x1b]133;D\x07"},
	"printing":             {"\x1b[i", "\x1b[5i", "\x1b[?5i"},
	"files":                {"\x1b]1337;File=name=YQ==:AAAA\x07", "\x1b_Ga=t,t=t;L3RtcC94\x1b\\"},
	"windows":              {"\x1b[8;10;10t", "\x1b[2t", "\x1b[9;1t"},
	"other strings":        {"\x1bPtmux;\x1b\x1b[c\x1b\\", "\x1b^x\x1b\\", "\x1bXx\x1b\\", "\x1b]50;font\x07"},
	"controls of one byte": {"\x9b", "\x9d", "\xc2\x9b", "\x90"},
	"what is broken off":   {"\x1b[6\x18", "\x1b]52;c;x\x18"},
	"long questions":       {"\x1b]4;" + strings.Repeat("1;#000000;", 300) + "5;?\x07", "\x1b]11;" + strings.Repeat("x", 3000) + "?\x1b\\"},
	"controls in strings":  {"\x1b]0;t\xc2\x9c\xc2\x9b6n\x07", "\x1b]8;;x\x9c\x9b6n\x07", "\x1b]0;" + strings.Repeat("x", 3000) + "\xc2\x9b6n\x07", "\x1bPq\xc2\x9b5i~\x1b\\"},
	"too many parameters":  {"\x1b[?" + strings.Repeat("1;", 32) + "2048h", "\x1b[" + strings.Repeat("1;", 40) + "1r"},
	"odd sequences":        {"\x1b[?>6n", "\x1b[6>n", "\x1b[ 6n", "\x1b[??6n", "\x1b[$$$$$p"},
	"other encodings":      {"\x1b%@"},
}

// still is what is shown again as it was.
var still = []string{"text\r\n\t\b", "\x1b[1;31mred\x1b[m", "\x1b[4:3m", "\x1b[H\x1b[2J\x1b[K\x1b[3A\x1b[2P\x1b[L\x1b[2;5r\x1b[3S\x1b[2T", "\x1b7\x1b8\x1bM\x1bE\x1b(0\x0eq\x0f\x1b(B",
	"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000;1006h\x1b[?2026h\x1b[?2026l", "\x1b[>1u\x1b[<u\x1b[=1u\x1b[>4;2m\x1b[>4m", "\x1b[5 q\x1b[1\"q\x1b[!p", "\x1b]0;title\x07\x1b]2;t\x1b\\\x1b[22;0t\x1b[23;0t",
	"\x1b]8;;http://x\x07link\x1b]8;;\x1b\\", "\x1b]4;1;red\x07\x1b]104\x07\x1b]11;blue\x1b\\\x1b]111\x1b\\", "\x1b]22;wait\x07", "\x1bPq#0~~\x1b\\", "漢字 é \xe6\xbc", "\xc2\xa0\xc2\xbf", "\x1b=\x1b>\x1bc", "\x1b[b\x1b[3g\x1bH"}

func quietly(reads ...string) string {
	var q termmodes.Quiet
	var out []byte
	for _, p := range reads {
		out = append(out, q.Filter([]byte(p))...)
	}
	return string(out)
}

func TestQuiet_OldOutputOnlyDraws(t *testing.T) {
	for kind, all := range loud {
		for _, s := range all {
			for _, got := range []string{quietly("a" + s + "b"), quietly(strings.Split("a"+s+"b", "")...)} {
				if strings.Trim(got, "c") != "ab" {
					t.Errorf("%s: of %q there is %q", kind, s, got)
				}
			}
		}
	}
	for _, s := range still {
		for _, got := range []string{quietly(s + "."), quietly(strings.Split(s+".", "")...)} {
			if got != s+"." {
				t.Errorf("of %q there is %q", s, got)
			}
		}
	}
}

func TestQuiet_LongPicturesPassAndOtherLongStringsDoNot(t *testing.T) {
	long := strings.Repeat("~", 200<<10)
	if got := quietly("a\x1bP0;1q" + long + "\x1b\\b"); got != "a\x1bP0;1q"+long+"\x1b\\b" {
		t.Errorf("%d bytes of a picture", len(got))
	}
	if got := quietly("a\x1bP0;1q" + long + "\x1b[cb"); strings.Contains(got, "\x1b[c") || !strings.HasSuffix(got, "\x1b\\b") {
		t.Errorf("behind a picture: %q", got[len(got)-10:])
	}
	if got := quietly("a\x1b]52;c;" + long + "\x07b"); got != "ab" {
		t.Errorf("%d bytes of a clipboard", len(got))
	}
}

func TestQuiet_WhatIsLiveBeginsWhereItIsSaid(t *testing.T) {
	var q termmodes.Quiet
	if got := q.Filter([]byte("old\x1b[c\x1b[?2048;1004;25h\x1b[?1004l\x1b[6")); string(got) != "old\x1b[?25h" {
		t.Errorf("old: %q", got)
	}
	// The modes whose setting is answered are set now, and the question that was begun is whole.
	if got := q.Rest(); string(got) != "\x1b[?2048h\x1b[6" {
		t.Errorf("then %q", got)
	}
	if got := q.Rest(); len(got) > 0 {
		t.Errorf("and once more %q", got)
	}
}

// Live output continues a string that was not shown as it continues one.
func TestQuiet_AStringThatIsNotCompleteIsShownWithoutControlsOrNotAtAll(t *testing.T) {
	for old, rest := range map[string]string{
		"a\x1b]2;t\u009c\u009b6n":                             "\x1b]99999;",
		"a\x1b]2;t\x9c\x9b6n\x1b":                             "\x1b]99999;\x1b",
		"a\x1bPq\u009b5i":                                     "\x1bX",
		"a\x1b]2;\u671d\xe6\x9c":                              "\x1b]2;\u671d\xe6\x9c", // a character is cut
		"a\x1b]52;c;" + strings.Repeat("x", 200<<10) + "\x1b": "\x1b]99999;\x1b",
	} {
		var q termmodes.Quiet
		if got := q.Filter([]byte(old)); string(got) != "a" {
			t.Errorf("of %.30q is shown %q", old, got)
		}
		if got := q.Rest(); string(got) != rest {
			t.Errorf("behind %.30q comes %.30q, not %q", old, got, rest)
		}
	}
}

func TestQuiet_LeavesTheStateAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := append(written().Draw(t, "bytes"), "\x18"...)
		for _, mode := range []string{"1004", "2031", "2048"} { // whose setting is answered
			b = bytes.ReplaceAll(b, []byte(mode), []byte("2027"))
		}
		b = bytes.ReplaceAll(b, []byte("\x1b%"), []byte("\x1b#"))  // another encoding
		b = bytes.Map(func(r rune) rune { return min(r, '~') }, b) // and what may be a control in a string
		plain, shown := &termmodes.Modes{}, &termmodes.Modes{}
		plain.Scan(b)
		var q termmodes.Quiet
		for rest := b; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			shown.Scan(q.Filter(rest[:n]))
			rest = rest[n:]
		}
		shown.Scan(q.Rest())
		if got, want := shown.Setup(), plain.Setup(); !bytes.Equal(got, want) {
			t.Fatalf("%q instead of %q", got, want)
		}
	})
}

func FuzzQuiet(f *testing.F) {
	for _, s := range still {
		f.Add([]byte(s), 1)
	}
	for _, all := range loud {
		for _, s := range all {
			f.Add([]byte(s), 2)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = max(0, min(cut, len(b)))
		once := quietly(string(b[:cut]), string(b[cut:]))
		if got := quietly(once); got != once {
			t.Fatalf("%q, and again: %q", once, got)
		}
		r := termmodes.Responder{}
		if answers := r.Respond([]byte(once)); len(answers) > 0 {
			t.Fatalf("%q is answered: %q", once, answers[0].Text)
		}
	})
}

func TestResponder_AnswersAsTheTerminalThatWeSayWeAre(t *testing.T) {
	for _, c := range []struct{ written, answers string }{
		{"\x1b[c", "\x1b[?62;22c"},
		{"\x1b[0c\x1bZ", "\x1b[?62;22c\x1b[?62;22c"},
		{"\x1b[>c", "\x1b[>1;0;0c"},
		{"\x1b[5n", "\x1b[0n"},
		{"\x1b[?u", "\x1b[?0u"},
		{"\x1b[>5u\x1b[?u\x1b[<u\x1b[?u", "\x1b[?5u\x1b[?0u"},
		{"\x1b[>5u\x1b[?1049h\x1b[?u", "\x1b[?0u"},
		{"\x1b[>q\x1b[>0q", "\x1bP>|banger v9\x1b\\\x1bP>|banger v9\x1b\\"},
		{"\x1b[?2026$p\x1b[?2026h\x1b[?2026$p", "\x1b[?2026;2$y\x1b[?2026;1$y"},
		{"\x1b[?7$p\x1b[?1049$p\x1b[?31337$p", "\x1b[?7;1$y\x1b[?1049;2$y\x1b[?31337;0$y"},
		{"\x1b[4$p\x1b[12$p\x1b[3$p", "\x1b[4;2$y\x1b[12;1$y\x1b[3;0$y"},
		{"\x1b[>4;2m\x1b[?4m", "\x1b[>4;2m"},
		{"\x1b[?4m", "\x1b[>4m"},
		{"text \x1b[1m\x1b[2J\x1b]0;\x1b\\ \x1b]11;?\x07 \x1b[1c \x1b[>1q", ""},
	} {
		for _, reads := range [][]string{{c.written}, strings.Split(c.written, "")} {
			r := termmodes.Responder{Version: "v9"}
			var got []byte
			for _, p := range reads {
				for _, a := range r.Respond([]byte(p)) {
					got = append(got, a.Text...)
				}
			}
			if string(got) != c.answers {
				t.Errorf("%q is answered with %q in %d reads, not %q", c.written, got, len(reads), c.answers)
			}
		}
	}
	r := termmodes.Responder{}
	r.Respond([]byte("ab"))
	got := r.Respond([]byte("cd\x1b[6nx\x1b[?6n"))
	if len(got) != 2 || got[0].At != 8 || got[1].At != 14 || string(got[0].CursorAnswer(3, 4)) != "\x1b[3;4R" || string(got[1].CursorAnswer(3, 4)) != "\x1b[?3;4R" {
		t.Errorf("the cursor is asked for: %+v", got)
	}
}
