// Package screen makes a terminal show at once what a program has drawn so far,
// from the bytes that the program wrote: they go through a terminal emulator,
// whose screen is then painted.
package screen

import (
	"bytes"
	"fmt"

	"banger/internal/termmodes"
)

// ReplayBytes is how much of a program's output is worth replaying: it costs an
// emulator a tenth of a second, and a full-screen program has seldom drawn more
// since it last cleared its screen.
const ReplayBytes = 1 << 20

// MaxCells bounds the sizes that are emulated; a larger terminal is no one's.
const MaxCells = 1 << 20

// Source is what is known of a program's terminal at some moment.
type Source struct {
	Rows, Cols int
	// Modes are those at that moment, which may have been set long before Output.
	Modes *termmodes.Modes
	// Output is what the program wrote up to that moment. Begun says that this is
	// all of it, else it may begin anywhere.
	Output []byte
	Begun  bool
}

// Paint returns the bytes that make a terminal of that size or larger show the
// program's screen. complete says that nothing of it can be missing; else the
// program has drawn something before Output begins. Modes are set too.
func (s Source) Paint() (paint []byte, complete bool) {
	if s.Modes == nil {
		s.Modes = &termmodes.Modes{}
	}
	output, alt := s.Output, s.Modes.AltScreen()
	complete = s.Begun || !alt || clearsScreen(output)
	if !s.Begun {
		output = wholeSequences(output)
	}
	var b bytes.Buffer
	if s.Rows < 1 || s.Cols < 1 || s.Rows*s.Cols > MaxCells {
		b.WriteString(clear)
		complete = false
	} else if front, back, ok := s.emulate(output, alt); ok {
		b.WriteString(clear)
		back.paint(&b)
		if alt {
			b.WriteString(enterAlt + clear)
			front.paint(&b)
		}
	} else {
		b.WriteString(clear)
		complete = false
	}
	b.Write(s.Modes.Set())
	return b.Bytes(), complete
}

const (
	clear    = "\x1b[0m\x1b[r\x1b[H\x1b[2J"
	enterAlt = "\x1b[?1049h"
	leaveAlt = "\x1b[?1049l"
)

// clearsScreen reports whether output draws on an empty screen from some point on.
func clearsScreen(output []byte) bool {
	for _, sequence := range []string{"\x1b[2J", "\x1b[?1049h", "\x1b[?1047h", "\x1bc", "\x1b[H\x1b[J", "\x1b[1;1H\x1b[J"} {
		if bytes.Contains(output, []byte(sequence)) {
			return true
		}
	}
	return false
}

// wholeSequences leaves out what may be the end of a sequence or of a character.
func wholeSequences(output []byte) []byte {
	if i := bytes.IndexAny(output, "\x1b\n"); i >= 0 {
		return output[i:]
	}
	return nil
}

// picture is one screen of the emulator.
type picture struct {
	rows     []string // each with its colours, without trailing blanks
	row, col int      // of the cursor, from 1
	last     string   // what is to be written at the cursor again, in the last column, or empty
	margins  string   // the sequence that sets them, or empty
	pen      string   // the sequences that set the colours of what is written next
}

// paint writes a picture to a screen that was cleared.
func (p picture) paint(b *bytes.Buffer) {
	for i, row := range p.rows {
		if row != "" {
			fmt.Fprintf(b, "\x1b[%d;1H\x1b[0m%s", i+1, row)
		}
	}
	b.WriteString("\x1b[0m" + p.margins)
	fmt.Fprintf(b, "\x1b[%d;%dH", p.row, p.col)
	b.WriteString(p.last + p.pen)
}
