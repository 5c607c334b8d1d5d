package emulator_test

import (
	"math/rand/v2"
	"testing"

	"banger/internal/emulator"
)

// painted returns a terminal on which another one was painted.
func painted(t *emulator.Terminal) *emulator.Terminal {
	rows, cols := t.Size()
	p := emulator.New(rows, cols)
	b := t.AppendScreen(nil)
	if t.Alternate() {
		b = append([]byte("\x1b[?1047h"), b...)
	}
	_, _ = p.Write(t.AppendCursor(t.AppendMargins(b)))
	return p
}

// A terminal that was painted shows what the one shows of which it was painted, and
// continues from there in the same way.
func TestTerminal_PaintedIsTheSame(t *testing.T) {
	// Wrapping off is not the painter's, and the main screen is not painted behind the
	// alternate one.
	leaveOut := func(n token, _ *emulator.Terminal) bool {
		return n.name == "wrap" || n.name == "alternate" || n.name == "save" && n.has("1048")
	}
	for seed := range cases(800, 1_000_000) {
		r := &teller{Rand: rand.New(rand.NewPCG(uint64(seed), 26))}
		s := r.story(leaveOut)
		first := emulator.New(s.rows, s.cols)
		at := r.IntN(len(s.steps) + 1)
		for _, next := range s.steps[:at] {
			play(first, next.step)
		}
		second := painted(first)
		for i := at; ; i++ {
			if d := lookOf(first).difference(lookOf(second), &tmux{}); d != "" || first.Cursor() != second.Cursor() && !first.Cursor().Hidden {
				t.Fatalf("seed %d: %dx%d %v, painted after step %d, differs after step %d\n%s%+v %+v", seed, s.rows, s.cols, s.steps, at, i, d, first.Cursor(), second.Cursor())
			}
			if i == len(s.steps) {
				break
			}
			play(first, s.steps[i].step)
			play(second, s.steps[i].step)
		}
	}
}

// DECRC in origin mode leads to where no address does once the margins are others.
func TestTerminal_PaintedCursorBeyondTheMargins(t *testing.T) {
	for _, output := range []string{
		"\x1b[1;2r\x1b[?6h\x1b[1;3H\x1b7\x1b[3;5r\x1b8",              // above
		"\x1b[1;2r\x1b[?6h\x1b[2;3H\x1b7\x1b[3;5r\x1b8\x1b[A\x1b[4C", // and moved from there
		"\x1b[?6h\x1b[6;8Hx\x1b7\x1b[2;4r\x1b8",                      // below, behind the last column
		"\x1b[?6h\x1b[6;3H\x1b7\x1b[2;4r\x1b[2;2H",                   // only the saved one
	} {
		first := emulator.New(6, 8)
		_, _ = first.Write([]byte(output))
		second := painted(first)
		for _, next := range []string{"a", "b\x1b8c", "\x1b[1;1Hd"} {
			if a, b := first.Cursor(), second.Cursor(); a != b {
				t.Errorf("%q: the cursor is at %+v, painted at %+v", output, a, b)
			}
			_, _ = first.Write([]byte(next))
			_, _ = second.Write([]byte(next))
			if d := lookOf(first).difference(lookOf(second), &tmux{}); d != "" {
				t.Errorf("%q and %q: %s", output, next, d)
			}
		}
	}
}

func FuzzTerminal(f *testing.F) {
	for seed := range uint64(50) {
		r := &teller{Rand: rand.New(rand.NewPCG(seed, 27))}
		s := r.story(func(token, *emulator.Terminal) bool { return false })
		for _, next := range s.joined() {
			f.Add([]byte(next.text), uint8(s.rows), uint8(s.cols), uint16(len(next.text)/2), uint8(7), uint8(9))
		}
	}
	f.Fuzz(func(t *testing.T, written []byte, rows, cols uint8, at uint16, newRows, newCols uint8) {
		term := emulator.New(int(rows), int(cols))
		cut := min(int(at), len(written))
		_, _ = term.Write(written[:cut])
		term.Resize(int(newRows), int(newCols))
		_, _ = term.Write(written[cut:])
		if broken := term.Broken(); broken != "" {
			t.Fatal(broken)
		}
		term.Abort()
		again := painted(term)
		if broken := again.Broken(); broken != "" {
			t.Fatalf("painted, %s", broken)
		}
		if d := lookOf(term).difference(lookOf(again), &tmux{}); d != "" {
			t.Fatal(d)
		}
	})
}
