package emulator

// The largest screen that is emulated. Larger ones exist in tests of hostile sizes
// only, and each byte may cost as much work as there are rows or columns.
const (
	MaxRows  = 2048
	MaxCols  = 4096
	MaxCells = 1 << 20
)

// Fits reports whether a screen of that size can be emulated.
func Fits(rows, cols int) bool {
	return rows >= 1 && cols >= 1 && rows <= MaxRows && cols <= MaxCols && rows*cols <= MaxCells
}

// Terminal is a terminal and what it shows. It answers nothing, rings no bell and
// keeps no scrollback. Not safe for concurrent use.
type Terminal struct {
	rows, cols      int
	main, alternate *grid
	screen          *grid // the one of the two that is shown
	cursor          cursor
	saved           [2]savedCursor // of the main and of the alternate screen
	top, bottom     int            // of the margins, the latter exclusive
	tabs            []bool
	modes           modes
	pen             look
	internedPen     look   // the last pen that was interned
	interned        uint32 // what a cell says of it
	blank           uint32 // and of what it leaves where it erases
	last            rune   // the last character that was written, for REP; 0 if none
	parser          parser
	written         int64 // bytes so far

	looks     []look
	lookIndex map[look]uint32
	recent    [recentLooks]uint32 // indices of looks that were used
	clusters  []string
	joiners   bool // one of them may end with a joiner
	links     []Link
	linkIndex map[Link]uint32
	collectAt int // of entries in one of these
}

// cursor is where the next character comes to, and how it is read.
type cursor struct {
	y, x     int
	behind   bool // the last column; the next character begins a new row, if that is on
	charsets charsets
}

// savedCursor is what DECSC saves.
type savedCursor struct {
	cursor
	pen    look
	origin bool
	set    bool // it was saved, by DECSC
}

// modes are those that change what the screen shows.
type modes struct {
	insert, newline, origin, noWrap, hidden, sideMargins bool
}

// New returns a terminal as after a reset. Of a size that does not fit, it has as
// much as does.
func New(rows, cols int) *Terminal {
	t := &Terminal{}
	t.rows, t.cols = fit(rows, cols)
	t.reset()
	return t
}

func fit(rows, cols int) (int, int) {
	cols = min(max(cols, 1), MaxCols)
	return min(max(rows, 1), MaxRows, MaxCells/cols), cols
}

// reset is RIS.
func (t *Terminal) reset() {
	t.main, t.alternate = newGrid(t.rows, t.cols), newGrid(t.rows, t.cols)
	t.screen = t.main
	t.looks, t.clusters, t.links = nil, nil, []Link{{}}
	t.lookIndex, t.linkIndex, t.collectAt = map[look]uint32{}, map[Link]uint32{}, maxInterned
	t.cursor, t.saved, t.modes, t.pen = cursor{}, [2]savedCursor{}, modes{}, look{}
	t.internedPen = look{}
	t.top, t.bottom = 0, t.rows
	t.tabs = make([]bool, t.cols)
	t.setTabs(0)
	t.last, t.joiners = 0, false
}

// softReset is DECSTR.
func (t *Terminal) softReset() {
	t.modes, t.pen = modes{newline: t.modes.newline}, look{}
	t.cursor.charsets = charsets{}
	t.cursor.behind = false
	t.saved[t.which()] = savedCursor{}
	t.top, t.bottom = 0, t.rows
}

func (t *Terminal) setTabs(from int) {
	for x := from; x < t.cols; x++ {
		t.tabs[x] = x%8 == 0 && x > 0
	}
}

// Forget makes everything on the screen unknown, as where the bytes that come are not
// the first ones. It looks blank.
func (t *Terminal) Forget() {
	for _, g := range []*grid{t.main, t.alternate} {
		for _, r := range g.rows {
			r.clear(Cell{glyph: isUnknown})
		}
	}
}

// Known reports whether all that is shown was drawn since Forget.
func (t *Terminal) Known() bool {
	for _, r := range t.screen.rows {
		if r.used < t.cols && r.fill.glyph == isUnknown {
			return false
		}
		for _, c := range r.cells[:r.used] {
			if c.glyph == isUnknown {
				return false
			}
		}
	}
	return true
}

// Size returns how many rows and columns there are.
func (t *Terminal) Size() (rows, cols int) { return t.rows, t.cols }

// Cursor is where a terminal's cursor is.
type Cursor struct {
	Row, Col int // from 0
	// Pending says that the last column was written and that the next character goes
	// to the next row.
	Pending bool
	Hidden  bool // DECTCEM
}

// Cursor returns where the cursor is.
func (t *Terminal) Cursor() Cursor {
	return Cursor{Row: t.cursor.y, Col: t.cursor.x, Pending: t.cursor.behind && !t.modes.noWrap, Hidden: t.modes.hidden}
}

// ReportedCursor returns the row and the column that the terminal answers with where it is
// asked for the cursor (CPR), from 1: in origin mode the row is counted from the margin.
func (t *Terminal) ReportedCursor() (row, col int) {
	row = t.cursor.y + 1
	if t.modes.origin {
		row -= t.top
	}
	return row, t.cursor.x + 1
}

// Alternate reports whether the alternate screen is shown.
func (t *Terminal) Alternate() bool { return t.screen == t.alternate }

// Cell returns what is shown in a row and a column, from 0.
func (t *Terminal) Cell(row, col int) Cell { return t.screen.row(row).at(col) }

// style returns what a cell says of the pen.
func (t *Terminal) style() uint32 {
	if t.pen.common&hasRest == 0 {
		return t.pen.common
	}
	t.refreshPen()
	return t.interned
}

// fill returns what erasing leaves: blanks in the background of the pen.
func (t *Terminal) fill() Cell {
	if t.pen.common&hasRest == 0 {
		return Cell{style: t.pen.common & background}
	}
	t.refreshPen()
	return Cell{style: t.blank}
}

func (t *Terminal) refreshPen() {
	if t.pen == t.internedPen {
		return
	}
	if len(t.looks)+2 > t.collectAt {
		t.collect()
	}
	t.interned, t.blank = t.intern(t.pen), t.intern(t.pen.onlyBackground())
	t.internedPen = t.pen
}

func (t *Terminal) row() *row { return t.screen.row(t.cursor.y) }

// which is the index in saved.
func (t *Terminal) which() int {
	if t.Alternate() {
		return 1
	}
	return 0
}

// save is DECSC.
func (t *Terminal) save() {
	s := savedCursor{cursor: t.cursor, pen: t.pen, origin: t.modes.origin, set: true}
	s.behind = s.behind && !t.modes.noWrap
	t.saved[t.which()] = s
}

// restore is DECRC.
func (t *Terminal) restore() {
	s := t.saved[t.which()]
	t.cursor, t.pen, t.modes.origin = s.cursor, s.pen, s.origin
}

// showAlternate changes to the alternate screen, which is empty then, or back.
func (t *Terminal) showAlternate(on bool) {
	switch {
	case on && !t.Alternate():
		t.screen = t.alternate
		t.clear()
	case !on:
		t.screen = t.main
	}
}

// clear empties the screen.
func (t *Terminal) clear() {
	fill := t.fill()
	for _, r := range t.screen.rows {
		r.clear(fill)
	}
}

// Resize gives the terminal another size. Nothing is wrapped again: what lies to the
// right of the last column is lost, and so are rows below the cursor, before others
// leave at the top. Margins are taken back if there are more or fewer rows.
func (t *Terminal) Resize(rows, cols int) {
	rows, cols = fit(rows, cols)
	if rows == t.rows && cols == t.cols {
		return
	}
	gone := max(0, t.cursor.y-rows+1)
	t.main.resize(rows, cols, gone)
	t.alternate.resize(rows, cols, gone)
	tabs := make([]bool, cols)
	copy(tabs, t.tabs)
	old := t.cols
	if rows != t.rows {
		t.top, t.bottom = 0, rows
	}
	t.tabs, t.rows, t.cols = tabs, rows, cols
	t.setTabs(min(old, cols))
	t.cursor.y -= gone
	if cols != old {
		t.cursor.behind = false
	}
	t.cursor.x = min(t.cursor.x, cols-1)
	for i := range t.saved {
		s := &t.saved[i]
		s.y, s.x = min(max(s.y-gone, 0), rows-1), min(s.x, cols-1)
		s.behind = s.behind && cols == old
	}
}

// resize leaves out that many rows at the top, and those at the bottom that do not fit.
func (g *grid) resize(rows, cols, gone int) {
	next := newGrid(rows, cols)
	for y := range min(rows, len(g.rows)-gone) {
		old, r := g.row(y+gone), next.rows[y]
		if cols > g.cols && old.fill != (Cell{}) && old.fill.glyph != isUnknown {
			old.reach(g.cols, g.cols) // what is new is plain
			old.fill = Cell{}
		}
		*r = row{used: min(old.used, cols), fill: old.fill, wide: old.wide}
		if old.used == 0 {
			continue
		}
		r.cells = make([]Cell, cols)
		copy(r.cells[:r.used], old.cells)
		if end := r.used - 1; r.cells[end].Wide() { // its second half is gone
			r.cells[end] = Cell{}
		}
	}
	*g = *next
}
