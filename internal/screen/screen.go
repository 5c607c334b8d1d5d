// Package screen makes a terminal show at once what a program has drawn so far,
// from the bytes that the program wrote: they go through a terminal emulator,
// whose screen is then painted.
package screen

import (
	"bytes"
	"unicode/utf8"

	"banger/internal/emulator"
	"banger/internal/termmodes"
)

// ReplayBytes is how much of a program's output is worth replaying: it costs an
// emulator some hundredths of a second, and a full-screen program has seldom drawn more
// since it last cleared its screen.
const ReplayBytes = 1 << 20

// Source is what is known of a program's terminal at some moment.
type Source struct {
	Rows, Cols int
	// Modes are those at that moment, which may have been set long before Output.
	Modes *termmodes.Modes
	// Output is what the program wrote up to that moment. Begun says that this is
	// all of it, else it may begin anywhere.
	Output []byte
	Begun  bool
	// ShowRows and ShowCols are the size of the terminal that is painted, if the
	// program's is about to get it; else they are 0.
	ShowRows, ShowCols int
}

// Paint returns the bytes that make a terminal of that size or larger show the
// program's screen. complete says that nothing of it can be missing; else the
// program has drawn something before Output begins. Modes are set too. What cannot
// be emulated is shown as text, and says so: no output leaves the screen empty.
func (s Source) Paint() (paint []byte, complete bool) {
	if s.Modes == nil {
		s.Modes = &termmodes.Modes{}
	}
	paint, complete, ok := s.draw()
	if !ok {
		paint = append([]byte(clear), plain(s.Output)...)
		paint = append(paint, s.Modes.Set()...)
	}
	return paint, complete
}

const (
	clear    = "\x1b[0m\x1b[r\x1b[H\x1b[2J"
	enterAlt = "\x1b[?1049h\x1b(B\x0f\x1b[4l\x1b]8;;\x1b\\" // and nothing of the other screen's pen
	leaveAlt = "\x1b[?1049l"
)

// maxUnfinished bounds a sequence whose end has not come yet, for the terminal to go
// on with; of a longer one the rest is of no use.
const maxUnfinished = 64 << 10

// draw emulates output and paints the screen. It reports false if it cannot: output is
// untrusted, and a defect of ours must not take the session away from the user.
func (s Source) draw() (paint []byte, complete, ok bool) {
	defer func() {
		if recover() != nil {
			paint, complete, ok = nil, false, false
		}
	}()
	if !emulator.Fits(s.Rows, s.Cols) {
		return nil, false, false
	}
	t, rest := s.emulate()
	if s.ShowRows > 0 && s.ShowCols > 0 {
		t.Resize(s.ShowRows, s.ShowCols)
	}
	complete = t.Known()
	paint = s.paint(t)
	return append(paint, rest...), complete, true
}

// emulate returns the terminal on which output was shown, and the end of output that
// is a part of a sequence or of a character. The terminal is not within that any more.
func (s Source) emulate() (t *emulator.Terminal, rest []byte) {
	t = emulator.New(s.Rows, s.Cols)
	output := s.Output
	if !s.Begun {
		t.Forget()
		output = wholeSequences(output)
	}
	_, _ = t.Write(output)
	if n := t.Unfinished(); n <= maxUnfinished {
		var quiet termmodes.Quiet // its beginning is old
		rest = append(quiet.Filter(output[int64(len(output))-n:]), quiet.Rest()...)
	}
	t.Abort()
	return t, rest
}

// paint paints both screens, the one that is shown last.
func (s Source) paint(t *emulator.Terminal) []byte {
	alt := s.Modes.AltScreen()
	front := append(t.AppendMargins(t.AppendScreen(nil)), s.Modes.Set()...)
	front = t.AppendCursor(front)
	paint := []byte(clear)
	switch {
	case alt && t.Alternate():
		_, _ = t.Write([]byte(leaveAlt))
		paint = t.AppendScreen(paint)
		paint = t.AppendCursor(paint)
		paint = append(paint, enterAlt+clear...)
	case alt: // the switch came before output begins, which was all drawn on the other one
		paint = append(paint, enterAlt+clear...)
	}
	return append(paint, front...)
}

// wholeSequences leaves out what may be the end of a string, of a sequence or of a
// character that began before. It never leaves all out.
func wholeSequences(output []byte) []byte {
	if i := bytes.IndexByte(output, 0x1b); i >= 0 && i+1 < len(output) && output[i+1] == '\\' {
		return output[i:] // the end of a string: an image, perhaps
	}
	if i := bytes.IndexByte(output, '\n'); i >= 0 && i < maxPartialLine {
		return output[i:]
	}
	i := 0
	for i < min(len(output), utf8.UTFMax-1) && !utf8.RuneStart(output[i]) {
		i++
	}
	if i > 0 {
		return output[i:]
	}
	for i < min(len(output), maxParameters) && output[i] >= 0x20 && output[i] < 0x40 {
		i++
	}
	if i > 0 && i < len(output) && output[i] >= 0x40 && output[i] < 0x7f && output[0] != ' ' {
		return output[i+1:] // parameters and the end of a control sequence
	}
	return output
}

const (
	maxPartialLine = 1 << 10 // a line of which the beginning is missing is left out up to here
	maxParameters  = 64
)
