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
//
// It is made of layers, each within the one that uses it, so that the way to a cell has
// no pointers: the parser takes the bytes apart, the executor carries out what is not
// text, the printer writes what is, both on the display.
type Terminal struct{ parser parser }

func (t *Terminal) display() *display { return &t.parser.executor.printer.display }

// New returns a terminal as after a reset. Of a size that does not fit, it has as
// much as does.
func New(rows, cols int) *Terminal {
	t := &Terminal{}
	t.parser.executor.reset(fit(rows, cols))
	return t
}

func fit(rows, cols int) (int, int) {
	cols = min(max(cols, 1), MaxCols)
	return min(max(rows, 1), MaxRows, MaxCells/cols), cols
}

// Write takes in what is written next; it never fails. Sequences and characters may
// be cut anywhere.
func (t *Terminal) Write(p []byte) (int, error) {
	t.parser.write(p)
	return len(p), nil
}

// Unfinished returns how many of the bytes that were written last belong to a sequence
// or a character whose end has not come yet.
func (t *Terminal) Unfinished() int64 { return t.parser.unfinished() }

// Abort ends a sequence that is unfinished, as CAN does, and drops what there is of a
// character.
func (t *Terminal) Abort() { t.parser.abort() }

// Forget makes everything on the screen unknown, as where the bytes that come are not
// the first ones. It looks blank.
func (t *Terminal) Forget() { t.display().screens.forget() }

// Known reports whether all that is shown was drawn since Forget.
func (t *Terminal) Known() bool { return t.display().screens.known() }

// Size returns how many rows and columns there are.
func (t *Terminal) Size() (rows, cols int) { return t.display().screens.rows, t.display().screens.cols }

// Resize gives the terminal another size. Nothing is wrapped again: what lies to the
// right of the last column is lost, and so are rows below the cursor, before others
// leave at the top. Margins are taken back if there are more or fewer rows.
func (t *Terminal) Resize(rows, cols int) {
	rows, cols = fit(rows, cols)
	if oldRows, oldCols := t.Size(); rows == oldRows && cols == oldCols {
		return
	}
	t.display().resize(rows, cols)
	x := &t.parser.executor
	x.tabs = x.tabs.resize(cols)
}

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
	c, m := &t.display().cursor, &t.display().modes
	return Cursor{Row: c.y, Col: c.x, Pending: c.behind && !m.noWrap, Hidden: m.hidden}
}

// ReportedCursor returns the row and the column that the terminal answers with where it is
// asked for the cursor (CPR), from 1: in origin mode the row is counted from the margin.
func (t *Terminal) ReportedCursor() (row, col int) {
	row = t.display().cursor.y + 1
	if t.display().modes.origin {
		row -= t.display().screens.margins.top
	}
	return row, t.display().cursor.x + 1
}

// Alternate reports whether the alternate screen is shown.
func (t *Terminal) Alternate() bool { return t.display().screens.alternated() }

// Cell returns what is shown in a row and a column, from 0.
func (t *Terminal) Cell(row, col int) Cell { return t.display().screens.shown.row(row).at(col) }

// Text returns the characters that a cell shows: none for the second column of a wide
// glyph, a space for a blank.
func (t *Terminal) Text(c Cell) string { return t.display().dictionary.text(c) }

// Style returns how a cell looks.
func (t *Terminal) Style(c Cell) Style { return t.display().dictionary.look(c).style() }

// LinkOf returns the hyperlink of a style, with an empty URI for none.
func (t *Terminal) LinkOf(s Style) Link { return t.display().dictionary.links[s.link] }
