package screen

import (
	"bytes"
	"fmt"

	"banger/internal/emulator"
)

// Window shows a program's screen on a terminal that is smaller: a part of it, which
// follows the cursor, above a line that says so. Not safe for concurrent use.
type Window struct {
	t          *emulator.Terminal
	rows, cols int      // of the terminal on which it is shown
	row, col   int      // of the screen, at the window's upper left corner
	shown      [][]byte // what was written for each row of the terminal
}

// Window returns a window on the program's screen for a terminal of a size; nil if the
// screen fits into that terminal, or cannot be emulated.
func (s Source) Window(rows, cols int) *Window {
	if rows >= s.Rows && cols >= s.Cols || rows < 1 || cols < 1 || !emulator.Fits(s.Rows, s.Cols) {
		return nil
	}
	t, rest := s.emulate()
	_, _ = t.Write(rest)
	w := &Window{t: t}
	w.Resize(rows, cols)
	return w
}

// Resize says that the terminal has another size. All of it is painted next.
func (w *Window) Resize(rows, cols int) { w.rows, w.cols, w.shown = rows, cols, nil }

// Write takes in what the program writes next; it never fails.
func (w *Window) Write(p []byte) (int, error) { return w.t.Write(p) }

// Paint returns the bytes that bring the terminal from what was painted last to what
// the window shows now.
func (w *Window) Paint() []byte {
	w.follow()
	var b []byte
	if w.shown == nil {
		b = append(b, clear...)
		w.shown = make([][]byte, w.rows)
	}
	b = append(b, "\x1b[?25l"...)
	height, _ := w.size()
	screenRows, _ := w.t.Size()
	for y := range w.rows {
		var row []byte
		switch {
		case y == height:
			row = w.mark()
		case y < height && w.row+y < screenRows:
			row = w.t.AppendPart(nil, w.row+y, w.col, w.cols, y)
		}
		if !bytes.Equal(row, w.shown[y]) {
			b = append(b, row...)
			w.shown[y] = row
		}
	}
	c := w.t.Cursor()
	b = fmt.Appendf(b, "\x1b[%d;%dH", c.Row-w.row+1, c.Col-w.col+1)
	if !c.Hidden {
		b = append(b, "\x1b[?25h"...)
	}
	return b
}

// Leave returns the bytes that put the terminal's cursor below the window.
func (w *Window) Leave() []byte { return fmt.Appendf(nil, "\x1b[%d;1H\x1b[?25h\r\n", w.rows) }

// size is that of the window: the last row of the terminal is the mark's.
func (w *Window) size() (rows, cols int) { return max(w.rows-1, 1), w.cols }

// follow moves the window so that the cursor is in it, by half of it if it has to: not
// with each character of a line that is too long.
func (w *Window) follow() {
	rows, cols := w.size()
	screenRows, screenCols := w.t.Size()
	c := w.t.Cursor()
	w.row = slide(w.row, rows, screenRows, c.Row, 0)
	w.col = slide(w.col, cols, screenCols, c.Col, max(cols/2, 1))
}

// slide returns where a window of a size begins on a screen of another one, so that
// place is in it: it stays if it can, and else moves by a step more or less.
func slide(begin, size, screen, place, step int) int {
	if place < begin {
		begin = place - step
	}
	if place >= begin+size {
		begin = max(place-size+1, begin+step)
	}
	return max(min(begin, screen-size), 0)
}

// mark is the last row of the terminal.
func (w *Window) mark() []byte {
	rows, cols := w.size()
	screenRows, screenCols := w.t.Size()
	text := fmt.Sprintf("[rows %d-%d of %d, columns %d-%d of %d]",
		w.row+1, min(w.row+rows, screenRows), screenRows, w.col+1, min(w.col+cols, screenCols), screenCols)
	return fmt.Appendf(nil, "\x1b[%d;1H\x1b[K\x1b[7m%.*s\x1b[0m", w.rows, w.cols, text)
}
