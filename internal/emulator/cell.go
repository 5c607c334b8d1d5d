package emulator

// Cell is one column of one row. The zero value is a blank in the colours of a
// terminal that was reset. Its glyph and its style are looked up in its Terminal.
type Cell struct {
	glyph uint32 // 0 for a blank, else a rune or an index into dictionary.clusters, with flags
	style uint32 // a look.common, or an index into dictionary.looks with isInterned
}

// Flags of a glyph, above the 21 bits of a rune.
const (
	isCluster uint32 = 1 << 31 // the rest is an index into dictionary.clusters
	isWide    uint32 = 1 << 30 // the glyph takes this column and the next one
	isTail    uint32 = 1 << 29 // the second column of a wide one
	isUnknown uint32 = 1 << 28 // drawn before the first byte that was seen
	glyphBits uint32 = 1<<28 - 1
)

// isInterned is set in the style of a cell that is an index into dictionary.looks.
const isInterned uint32 = 1 << 31

// Wide reports whether the cell's glyph takes the next column as well.
func (c Cell) Wide() bool { return c.glyph&isWide != 0 }

// Tail reports whether the cell is the second column of a wide glyph.
func (c Cell) Tail() bool { return c.glyph&isTail != 0 }

// Blank reports whether nothing is to be seen in the cell but perhaps its background.
func (c Cell) Blank() bool { return c.glyph == 0 || c.glyph == ' ' || c.glyph == isUnknown }
