package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"banger/internal/emulator"
)

// A token is a piece of what programs write, with a name to speak of it.
type token struct {
	name string
	step step
}

// teller makes stories up.
type teller struct {
	*rand.Rand
	rows, cols int
	alternate  string // the mode with which the screens are changed: they are not mixed
	alternated bool   // then no cursor is saved or restored: some terminals have one for each screen
	resized    bool   // then the alternate screen is not left: what the main one shows is not the same everywhere
}

// story makes one up; leaveOut says which tokens may not come to a terminal that is
// as it is.
func (r *teller) story(leaveOut func(token, *emulator.Terminal) bool) story {
	r.rows, r.cols = 1+r.IntN(12), 1+r.IntN(24)
	if r.IntN(8) != 0 {
		r.rows, r.cols = r.rows+2, r.cols+2
	}
	r.alternate, r.alternated, r.resized = r.pick("1049", "1049", "47", "1047"), false, false
	s := story{rows: r.rows, cols: r.cols}
	t := emulator.New(s.rows, s.cols)
	for range 1 + r.IntN(40) {
		next := r.token()
		if leaveOut(next, t) {
			continue
		}
		play(t, next.step)
		r.rows, r.cols = t.Size()
		r.alternated = r.alternated || next.name == "alternate"
		r.resized = r.resized || next.step.rows != 0
		s.steps = append(s.steps, next)
	}
	return s.ended()
}

// ended is a story in whose end the cursor is behind no last column: where that is
// said to be is not the same everywhere.
func (s story) ended() story {
	t := emulator.New(s.rows, s.cols)
	for _, next := range s.steps {
		play(t, next.step)
	}
	if t.Cursor().Pending {
		s.steps = append(s.steps, token{"line", step{text: "\r"}})
	}
	return s
}

// without is the story without a step, if that may be told.
func (s story) without(i int, leaveOut func(token, *emulator.Terminal) bool) (story, bool) {
	s.steps = slices.Delete(slices.Clone(s.steps), i, i+1)
	s = s.ended()
	t := emulator.New(s.rows, s.cols)
	for _, next := range s.steps {
		if leaveOut(next, t) {
			return s, false
		}
		play(t, next.step)
	}
	return s, true
}

func (r *teller) pick(from ...string) string { return from[r.IntN(len(from))] }

// small is a parameter of a sequence: often none, at times too much.
func (r *teller) small() string {
	switch r.IntN(12) {
	case 0:
		return "0"
	case 1:
		return "999"
	case 2, 3, 4, 5:
		return ""
	}
	return fmt.Sprint(1 + r.IntN(6))
}

func (r *teller) token() token {
	named := func(name, text string) token { return token{name, step{text: text}} }
	switch n := r.IntN(100); {
	case n < 16:
		return named("text", r.pick("a", "bc", "word ", "to the margin and over it; ", strings.Repeat("x", r.cols), strings.Repeat("y", r.cols-1)))
	case n < 25:
		return named("wide", r.pick("漢", "漢字", "한", "😀", "日本語テキスト", strings.Repeat("漢", r.cols/2), "ａ"))
	case n < 29:
		return named("mark", r.pick("é", "e\u0301", "\u0301", "n\u0303\u0323", "漢\u0301", "क्षि", "❤\ufe0f", "👩\u200d🚀", "a\u200bb", "🇩🇪", "👍🏽"))
	case n < 32:
		return named("bad", r.pick("\xe9", "\xe6\xbc", "\xf0\x9f\x98", "\x80", "\xff\xfe", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80")+r.pick("z", "\x1b[31m", "\r", "\x1b[C", "é", "漢"))
	case n < 40:
		return named("line", r.pick("\r\n", "\n", "\r", "\r\n\r\n", "\x0b", "\x0c"))
	case n < 43:
		return named("back", r.pick("\b", "\b\b"))
	case n < 46:
		return named("tab", r.pick("\t", "\x1bH", "\x1b["+r.small()+"I", "\x1b["+r.small()+"Z", "\x1b[g", "\x1b[3g"))
	case n < 54:
		return r.movement()
	case n < 66:
		return r.editing()
	case n < 75:
		return named("sgr", "\x1b["+r.sgr()+"m")
	case n < 79:
		return named("margins", r.pick("\x1b[r", fmt.Sprintf("\x1b[%d;%dr", 1+r.IntN(r.rows), 1+r.IntN(r.rows)), fmt.Sprintf("\x1b[%dr", 1+r.IntN(r.rows))))
	case n < 83 && !r.alternated:
		return named("save", r.pick("\x1b7", "\x1b8", "\x1b[s", "\x1b[u", "\x1b[?1048h", "\x1b[?1048l"))
	case n < 85:
		return named("insert", r.pick("\x1b[4h", "\x1b[4l"))
	case n < 87:
		return named("wrap", r.pick("\x1b[?7l", "\x1b[?7h", "\x1b[?7h"))
	case n < 89:
		return named("origin", r.pick("\x1b[?6h", "\x1b[?6l"))
	case n < 91:
		return named("alternate", "\x1b[?"+r.alternate+r.pick(map[bool][]string{true: {"h"}, false: {"h", "l"}}[r.resized]...))
	case n < 93:
		return named("charset", r.pick("\x1b(0", "\x1b(B", "\x1b)0", "\x1b)B", "\x0e", "\x0f")+r.pick("", "lqk x"))
	case n < 95:
		return named("passed over", r.pick("\x1b]0;title\a", "\x1b]8;;http://example\x1b\\", "\x1b]8;;\x1b\\", "\x1bPq#0;2;0;0;0~~\x1b\\", "\x1b_Gf=100;AAAA\x1b\\",
			"\x1b]1337;File=inline=1:AAAA\a", "\x1b[?2026h", "\x1b[?2026l", "\x1b[5 q", "\x1b[?25l", "\x1b[>1u", "\x1b[31\x18", "\x1b[\n3\r1m", "\x1b[1;2;3:4:5;6;7v"))
	case n < 96:
		return named("align", "\x1b#8")
	case n < 97:
		return named("reset", r.pick("\x1bc", "\x1b[!p"))
	case n < 98:
		return named("c1", "\u009b")
	case n < 99:
		return named("newline", r.pick("\x1b[20h", "\x1b[20l"))
	}
	return token{"resize", step{rows: 1 + r.IntN(14), cols: 1 + r.IntN(26)}}
}

func (r *teller) movement() token {
	switch r.IntN(4) {
	case 0:
		return token{"up and down", step{text: r.pick("\x1b["+r.small()+r.pick("A", "B", "d", "e", "E", "F"), "\x1bM", "\x1bD", "\x1bE")}}
	case 1:
		return token{"left and right", step{text: "\x1b[" + r.small() + r.pick("C", "D", "G", "`", "a")}}
	}
	return token{"to a place", step{text: fmt.Sprintf("\x1b[%d;%d%s", 1+r.IntN(r.rows+1), 1+r.IntN(r.cols+1), r.pick("H", "f"))}}
}

func (r *teller) editing() token {
	switch r.IntN(7) {
	case 0, 1:
		return token{"erase", step{text: "\x1b[" + r.pick("", "0", "1", "2", "3") + r.pick("J", "K", "K")}}
	case 2:
		return token{"insert characters", step{text: "\x1b[" + r.small() + "@"}}
	case 3:
		return token{"delete characters", step{text: "\x1b[" + r.small() + "P"}}
	case 4:
		return token{"erase characters", step{text: "\x1b[" + r.small() + "X"}}
	case 5:
		return token{"repeat", step{text: r.pick("a", "é", "漢") + "\x1b[" + r.small() + "b"}}
	}
	return token{"lines", step{text: "\x1b[" + r.small() + r.pick("L", "M", "S", "T")}}
}

func (r *teller) sgr() string {
	var params []string
	for range 1 + r.IntN(3) {
		params = append(params, r.pick("", "0", "1", "2", "3", "4", "5", "7", "8", "9", "21", "22", "23", "24", "25", "27", "28", "29",
			"31", "39", "42", "49", "53", "55", "95", "106", "38;5;200", "48;5;17", "38;2;1;2;3", "48;2;9;8;7", "4:3", "4:0", "38:5:9",
			"38:2:1:2:3", "48:2::4:5:6", "58:5:3", "58;5;3", "59"))
	}
	return strings.Join(params, ";")
}
