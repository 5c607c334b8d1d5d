package emulator_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"banger/internal/emulator"
)

// cases is how many stories are told to each reference: for some seconds, an eighth of
// that with -short, or at full size in make fuzz.
func cases(reduced, full int) int {
	switch {
	case os.Getenv("BANGER_FUZZ_FULL") != "":
		return full
	case testing.Short():
		return reduced / 8
	}
	return reduced
}

func TestTerminal_ShowsWhatTmuxShows(t *testing.T) {
	compare(t, newTmux(t), cases(240, 60_000), tmuxDiffers)
}

func TestTerminal_ShowsWhatLibvtermShows(t *testing.T) {
	compare(t, newLibvterm(t), cases(700, 2_000_000), libvtermDiffers)
}

func compare(t *testing.T, r reference, n int, differs []difference) {
	leaveOut := func(next token, at *emulator.Terminal) bool {
		return slices.ContainsFunc(differs, func(d difference) bool { return d.at(next, at) })
	}
	failed := 0
	for seed := 0; seed < n; {
		var stories []story
		for ; len(stories) < panes*8 && seed < n; seed++ {
			teller := &teller{Rand: rand.New(rand.NewPCG(uint64(seed), 25))}
			stories = append(stories, teller.story(leaveOut))
		}
		shown := r.show(stories)
		for i, s := range stories {
			if ours(s).difference(shown[i], r) == "" {
				continue
			}
			if ours(s).difference(r.show([]story{s})[0], r) == "" {
				continue // libvterm reads memory that it has not written: another time it shows something else
			}
			s = shrink(s, r, leaveOut)
			t.Errorf("seed %d: %dx%d %v\n%s", seed-len(stories)+i, s.rows, s.cols, s.joined(), ours(s).difference(r.show([]story{s})[0], r))
			if failed++; failed >= 20 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d stories", n)
}

// joined are the steps of a story; those that follow each other without another size
// are one.
func (s story) joined() []step {
	var steps []step
	for _, next := range s.steps {
		if last := len(steps) - 1; last >= 0 && next.step.rows == 0 && steps[last].rows == 0 {
			steps[last].text += next.step.text
		} else {
			steps = append(steps, next.step)
		}
	}
	return steps
}

// shrink takes out what does not matter for the difference.
func shrink(s story, r reference, leaveOut func(token, *emulator.Terminal) bool) story {
	for i := 0; i < len(s.steps); {
		less, ok := s.without(i, leaveOut)
		if ok && len(less.steps) < len(s.steps) && ours(less).difference(r.show([]story{less})[0], r) != "" {
			s = less
			continue
		}
		i++
	}
	return s
}

// A difference is something in which a reference does otherwise than this package
// does, and why that one is not followed.
type difference struct {
	why string
	at  func(next token, at *emulator.Terminal) bool
}

// tmux 3.3a, of Debian 12.
var tmuxDiffers = []difference{
	{"?1048, HPR, VPR, CHT, DECSTR and newline mode are not known", func(n token, _ *emulator.Terminal) bool {
		return n.has("\x1b[?1048", "\x1b[!p") || n.name == "newline" || n.final("aeI")
	}},
	{"only characters of one byte are repeated", func(n token, _ *emulator.Terminal) bool { return n.name == "repeat" && n.has("漢", "é") }},
	{"what is no UTF-8 is left out", named("bad")},
	{"on the main screen a resize wraps text anew and takes it from the history", func(n token, at *emulator.Terminal) bool {
		return n.step.rows != 0 && (!at.Alternate() || at.Cursor().Pending || at.Cursor().Col >= n.step.cols)
	}},
	{"to leave the alternate screen that is not shown restores nothing", func(n token, at *emulator.Terminal) bool {
		return n.has("\x1b[?1049l") && !at.Alternate()
	}},
	{"a cursor behind the last column is one column further for all that is relative", func(n token, at *emulator.Terminal) bool {
		return at.Cursor().Pending && n.name != "text" && n.name != "wide" && n.name != "to a place" && n.name != "sgr" && n.name != "line"
	}},
	{"lines are inserted and deleted outside of the margins", func(n token, at *emulator.Terminal) bool {
		_, within := at.Margins()
		return n.name == "lines" && n.final("LM") && !within
	}},
	{"screens of one row or one column", func(n token, at *emulator.Terminal) bool {
		rows, cols := at.Size()
		return rows == 1 || cols == 1 || n.step.rows == 1 || n.step.rows > 0 && n.step.cols == 1
	}},
	{"the second half of a wide character may be there when the first one is not, and the other way round", func(n token, at *emulator.Terminal) bool {
		editing := strings.HasPrefix(n.name, "erase") || strings.HasSuffix(n.name, "characters") || n.name == "back"
		return at.RowHasWide() && editing || at.HalfOfWide() && n.step.text != ""
	}},
	{"to set margins in origin mode leads to the first row of the screen", func(n token, at *emulator.Terminal) bool {
		return n.name == "margins" && at.Origin()
	}},
	{"?1049 does not clear the alternate screen that is shown", func(n token, at *emulator.Terminal) bool {
		return n.has("\x1b[?1049h") && at.Alternate()
	}},
	{"?1049 leaves character sets as they are", func(n token, at *emulator.Terminal) bool {
		return n.has("\x1b[?1049l") && at.SavedOtherCharsets()
	}},
	{"the alternate screen is cleared without the pen's background", func(n token, at *emulator.Terminal) bool {
		return n.name == "alternate" && at.Pen().Background != emulator.Default
	}},
	{"while autowrap is off a cursor in the last column is never behind it, so that a mark belongs to the one before", func(n token, at *emulator.Terminal) bool {
		return !at.Wrapping() && (n.name == "mark" || n.name == "bad")
	}},
	{"ICH does not always make room, and DCH and a wrap in the last row leave the pen's background away", func(n token, at *emulator.Terminal) bool {
		rows, cols := at.Size()
		coloured := at.Pen().Background != emulator.Default
		return n.name == "insert characters" || coloured && (n.name == "delete characters" ||
			(!n.has("\x1b") || n.name == "charset" || n.name == "repeat") && n.step.text != "" && (set(at.Margins()) || at.Cursor().Row+1+len(n.step.text)/cols >= rows))
	}},
	{"half of a wide character may be there behind the last column", func(n token, at *emulator.Terminal) bool {
		_, cols := at.Size()
		return at.HasWide() && (n.step.rows != 0 && n.step.cols < cols || at.Inserting() && at.RowHasWide())
	}},
	{"RIS leaves the alternate screen shown", func(n token, at *emulator.Terminal) bool { return n.has("\x1bc") && at.Alternate() }},
	{"BS goes back over the beginning of a row that was wrapped", func(n token, at *emulator.Terminal) bool {
		return n.name == "back" && at.Cursor().Col < 2
	}},
	{"insert mode makes no room in the row to which text wraps", func(n token, at *emulator.Terminal) bool {
		_, cols := at.Size()
		return at.Inserting() && (n.name == "charset" || n.step.text != "" && !n.has("\x1b", "\r", "\n")) && at.Cursor().Col+2*len(n.step.text) >= cols
	}},
}

// libvterm 0.1.4, of Debian 12.
var libvtermDiffers = []difference{
	{"it crashes where a wide character is repeated, and where a row has one column", func(n token, at *emulator.Terminal) bool {
		rows, cols := at.Size()
		return n.name == "repeat" && n.has("漢") || cols < 4 || rows == 1 || n.step.rows == 1 || n.step.rows != 0 && n.step.cols < 4
	}},
	{"what was never saved is restored with black on black", func(n token, at *emulator.Terminal) bool {
		return n.has("\x1b8", "\x1b[u", "\x1b[?1048l", "\x1b[?1049l") && !at.Saved()
	}},
	{"DECALN leaves cursor and margins where they are", named("align")},
	{"APC is text", func(n token, _ *emulator.Terminal) bool { return n.has("\x1b_") }},
	{"C1 in UTF-8 moves the cursor to the left", named("c1")},
	{"what is no UTF-8 comes behind a control that follows, and as one character where it begins like one that must not be", func(n token, _ *emulator.Terminal) bool {
		return n.name == "bad" && (n.has("\r", "\x1b") || n.has("\xf4", "\xed", "\xc0", "\xe0", "\xff"))
	}},
	{"the colour space of 48:2:space:r:g:b is taken for red", func(n token, _ *emulator.Terminal) bool { return n.has("48:2::") }},
	{"margins without a row between them are set", func(n token, at *emulator.Terminal) bool {
		var top, bottom int
		if n, _ := fmt.Sscanf(n.step.text, "\x1b[%d;%dr", &top, &bottom); n == 1 {
			bottom, _ = at.Size()
		}
		return n.name == "margins" && top >= bottom && top > 0
	}},
	{"insert mode makes room for one column, also for a wide character", func(n token, at *emulator.Terminal) bool {
		return at.Inserting() && n.wide()
	}},
	{"columns that a resize adds have the colours of the pen; margins, saved cursors and a cursor behind the last column stay", func(n token, at *emulator.Terminal) bool {
		set, _ := at.Margins()
		rows, _ := at.Size()
		return n.step.rows != 0 && (at.Pen().Background != emulator.Default || set && n.step.rows != rows || at.Cursor().Pending || at.Saved())
	}},
	{"of a wide character of which a half is gone the other one stays, and may come beside a half of another one", func(n token, at *emulator.Terminal) bool {
		return n.name == "insert characters" && at.SecondOfWide() ||
			n.name == "delete characters" && at.RowHasWide() && (at.SecondOfWide() || at.RowHasGap())
	}},
	{"behind a wide character in the last columns, the cursor is not in the last one", func(n token, at *emulator.Terminal) bool {
		return behindWide(at) && n.name != "text" && n.name != "wide" && n.name != "to a place" && n.name != "sgr" && !n.has("\r")
	}},
	{"a wide character wraps though autowrap is off", func(n token, at *emulator.Terminal) bool {
		return !at.Wrapping() && n.wide()
	}},
	{"58 is not known, and its parameters are taken for others", func(n token, _ *emulator.Terminal) bool { return n.has("58") }},
	{"DECSTR leaves the pen", func(n token, _ *emulator.Terminal) bool { return n.has("\x1b[!p") }},
	{"REP wraps, and not always where the next row begins", func(n token, at *emulator.Terminal) bool {
		_, cols := at.Size()
		return n.name == "repeat" && (at.Cursor().Col >= cols-8 || n.has("999"))
	}},
	{"a mark is combined only with what was written right before it, else it has a column", func(n token, at *emulator.Terminal) bool {
		return n.has("\u0301") && len([]rune(n.step.text)) == 1
	}},
	{"a row further down, the cursor is not behind the last column any more", func(n token, at *emulator.Terminal) bool {
		return at.Cursor().Pending && (n.has("\n", "\v", "\f", "\x1bM", "\x1bD", "\x1bE") || n.name == "wrap")
	}},
	{"marks after a character in the last column, while autowrap is off", func(n token, at *emulator.Terminal) bool {
		return !at.Wrapping() && n.name == "mark"
	}},
	{"of a character with two marks, the marks may come to the next row", func(n token, at *emulator.Terminal) bool {
		_, cols := at.Size()
		return n.name == "mark" && at.Cursor().Col >= cols-4
	}},
	{"RIS leaves the alternate screen shown", func(n token, at *emulator.Terminal) bool { return n.has("\x1bc") && at.Alternate() }},
	{"U+200B is lost in the last column", func(n token, _ *emulator.Terminal) bool { return n.has("\u200b") }},
	{"?1047 clears the alternate screen that is shown", func(n token, at *emulator.Terminal) bool {
		return n.has("\x1b[?1047h") && at.Alternate()
	}},
	{"DECSC saves neither character sets, origin mode nor that the cursor is behind the last column, and both screens have one", func(n token, at *emulator.Terminal) bool {
		saves := n.has("\x1b7", "\x1b[?1048h", "\x1b[?1049h")
		if n.has("\x1b8", "\x1b[?1048l", "\x1b[?1049l") && at.Cursor().Pending {
			return true
		}
		return saves && (at.Cursor().Pending || at.Drawing() || at.Origin() || at.Alternate()) ||
			(n.name == "charset" || n.name == "origin") && at.Saved()
	}},
	{"insert mode does not count for REP", func(n token, at *emulator.Terminal) bool { return n.name == "repeat" && at.Inserting() }},
	{"ICH and DCH do nothing outside of the margins, and CUU from the margin, CUD to it, CNL, CPL and VPR do not stop at them", func(n token, at *emulator.Terminal) bool {
		set, within := at.Margins()
		return !within && n.final("@P") || set && n.final("ABEFe")
	}},
	{"CSI s and CSI u are margins or nothing", func(n token, _ *emulator.Terminal) bool { return n.has("\x1b[s", "\x1b[u") }},
	{"text that begins otherwise is not line drawing up to the next control", func(n token, at *emulator.Terminal) bool {
		return at.Drawing() && strings.ContainsFunc(n.step.text, func(r rune) bool { return r >= 0x80 })
	}},
	{"fewer rows take the upper ones away, not those below the cursor", func(n token, at *emulator.Terminal) bool {
		rows, _ := at.Size()
		return n.step.rows != 0 && n.step.rows < rows && (at.Cursor().Row != rows-1 || at.Alternate())
	}},
	{"characters that are joined have columns of their own", func(n token, _ *emulator.Terminal) bool { return n.has("\u200d") }},
	{"?47 is not known", func(n token, _ *emulator.Terminal) bool { return n.has("\x1b[?47") }},
}

// behindWide reports whether a wide character has been written in the last column.
func behindWide(at *emulator.Terminal) bool { return at.Cursor().Pending && at.HalfOfWide() }

// named are the tokens of that name.
func named(name string) func(token, *emulator.Terminal) bool {
	return func(n token, _ *emulator.Terminal) bool { return n.name == name }
}

// has reports whether a token has any of some texts.
func (n token) has(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(n.step.text, text) })
}

func (n token) wide() bool {
	return strings.ContainsFunc(n.step.text, func(r rune) bool { return emulator.Width(r) == 2 })
}

// final reports whether a token is a control sequence that ends with one of some bytes.
func (n token) final(bytes string) bool {
	text := n.step.text
	return strings.HasPrefix(text, "\x1b[") && strings.Contains(bytes, text[len(text)-1:])
}

func set(margins, _ bool) bool { return margins }
