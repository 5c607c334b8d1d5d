package emulator

// charset is what ASCII characters stand for.
type charset byte

const (
	ascii    charset = iota
	graphics         // DEC special graphics: lines and corners
	british          // # is £
)

// charsets are those that a terminal may choose from, ISO 2022.
type charsets struct {
	g      [4]charset
	left   uint8 // index in g of the one that is used: LS0 to LS3
	single uint8 // index of the one for the next character only, 0 for none: SS2, SS3
}

func (c *charsets) plain() bool { return c.g[c.left] == ascii && c.single == 0 }

// translate returns the character that an ASCII one stands for.
func (c *charsets) translate(r rune) rune {
	set := c.g[c.left]
	if c.single != 0 {
		set, c.single = c.g[c.single], 0
	}
	switch {
	case set == british && r == '#':
		return '£'
	case set == graphics && r >= '_' && r <= '~':
		return graphic[r-'_']
	}
	return r
}

// graphic are the DEC special graphics from '_' on; VT220 manual, table 2-4.
var graphic = [...]rune{
	' ', '◆', '▒', '␉', '␌', '␍', '␊', '°', '±', '␤', '␋', '┘', '┐', '┌', '└', '┼',
	'⎺', '⎻', '─', '⎼', '⎽', '├', '┤', '┴', '┬', '│', '≤', '≥', 'π', '≠', '£', '·',
}

// designate is SCS: final names the set for G0 to G3.
func (c *charsets) designate(g int, final byte) {
	switch final {
	case '0':
		c.g[g] = graphics
	case 'A':
		c.g[g] = british
	default:
		c.g[g] = ascii
	}
}
