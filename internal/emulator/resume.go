package emulator

import "strconv"

// AppendMargins appends bytes that give a terminal on which AppendScreen was written
// the margins and the tab stops of this one. They move its cursor.
func (t *Terminal) AppendMargins(b []byte) []byte {
	if t.display().screens.marginsSet() {
		b = t.display().screens.margins.appendSet(b)
	}
	return t.parser.executor.tabs.appendSet(b)
}

// AppendCursor appends bytes with which the program can continue from there: the cursor
// and the one that is saved, each with its pen and character sets, origin and insert
// mode. The terminal has the margins of this one; otherwise wrapping, and a plain pen.
func (t *Terminal) AppendCursor(b []byte) []byte {
	w := painter{display: t.display(), out: b}
	w.resume()
	return w.out
}

// resume paints what AppendCursor appends.
func (w *painter) resume() {
	d := w.display
	margins, modes := d.screens.margins, d.modes
	if d.screens.marginsSet() {
		w.out = append(w.out, "\x1b[?6l"...)
	}
	origin := false
	change := func(to bool) {
		if to != origin {
			w.out = append(w.out, map[bool]string{true: "\x1b[?6h", false: "\x1b[?6l"}[to]...)
			origin = to
		}
	}
	s := d.screens.shown.saved
	beyond := s.set && s.origin && margins.side(s.y) != 0
	if s.set {
		if beyond {
			w.out = append(w.out, "\x1b[r"...) // with margins, no address leads there in origin mode
		}
		change(s.origin)
		w.cursor(s.cursor, s.origin && !beyond)
		w.change(s.pen.style())
		w.charsets(s.charsets)
		w.out = append(w.out, "\x1b7"...)
		if beyond {
			w.out = margins.appendSet(w.out)
		}
	}
	back := beyond && modes.origin && margins.side(d.cursor.y) == margins.side(s.y)
	if back {
		w.out = append(w.out, "\x1b8"...)
	}
	if s.set && s.charsets != (charsets{}) {
		w.out = append(w.out, "\x1b(B\x1b)B\x0f"...)
	}
	if back {
		w.lead(s.y, d.cursor)
	} else {
		change(modes.origin)
		w.change(Style{})
		w.cursor(d.cursor, modes.origin)
	}
	w.change(d.pen.style())
	w.charsets(d.cursor.charsets)
	if modes.insert {
		w.out = append(w.out, "\x1b[4h"...)
	}
	if modes.newline {
		w.out = append(w.out, "\x1b[20h"...)
	}
}

// lead leads the cursor from one row to its place, both on the same side of the margins.
func (w *painter) lead(from int, c cursor) {
	if n := c.y - from; n != 0 {
		w.out = append(strconv.AppendInt(append(w.out, "\x1b["...), int64(max(n, -n)), 10), map[bool]byte{true: 'B', false: 'A'}[n > 0])
	}
	w.put(c, func(x int) { w.out = append(strconv.AppendInt(append(w.out, "\x1b["...), int64(x+w.dx+1), 10), 'G') })
}

// cursor puts the cursor to its place.
func (w *painter) cursor(c cursor, origin bool) {
	y := c.y
	if origin {
		y = max(y-w.display.screens.margins.top, 0)
	}
	w.put(c, func(x int) { w.place(y, x) })
}

// put has move put the cursor to its column. Behind the last one it comes only by writing
// what is there again.
func (w *painter) put(c cursor, move func(x int)) {
	if !c.behind || w.display.modes.noWrap {
		move(c.x)
		return
	}
	x := c.x
	last := w.display.screens.shown.row(c.y).at(x)
	if last.Tail() && x > 0 {
		x--
		last = w.display.screens.shown.row(c.y).at(x)
	}
	move(x)
	w.out = append(w.out, plainText...)
	w.change(w.display.dictionary.look(last).style())
	w.glyph(last)
}

// plainText has a terminal take characters as they are, whatever was set before.
const plainText = "\x1b[4l\x1b(B\x0f"

func (w *painter) charsets(c charsets) {
	for i, set := range c.g {
		if final := map[charset]byte{graphics: '0', british: 'A'}[set]; final != 0 {
			w.out = append(w.out, '\x1b', "()*+"[i], final)
		}
	}
	w.out = append(w.out, [...]string{"", "\x0e", "\x1bn", "\x1bo"}[c.left]...)
	w.out = append(w.out, [...]string{"", "", "\x1bN", "\x1bO"}[c.single]...)
}
