package termmodes

// charsets are the character sets that bytes are shown in (ISO 2022, and what xterm
// adds). The zero value is ASCII everywhere, and UTF-8.
type charsets struct {
	g        [4]string // what designates G0 to G3, without ESC; empty for ASCII
	left     int       // which of them bytes below 0x80 are in
	right    int       // which those above are in, if that is not UTF-8: 0 for G2
	noUTF8   bool      // ESC % @
	eightBit bool      // S8C1T: keys and answers begin with C1 controls of one byte
}

// designate takes ESC, intermediate bytes and a final byte that choose a set, and
// reports whether they are that.
func (c *charsets) designate(middle []byte, final byte) bool {
	if len(middle) == 0 {
		return false
	}
	var which int
	switch middle[0] {
	case '(':
		which = 0
	case ')', '-':
		which = 1
	case '*', '.':
		which = 2
	case '+', '/':
		which = 3
	default:
		return false
	}
	set := string(middle) + string(rune(final))
	if len(middle) == 1 && final == 'B' && (middle[0] >= '(' && middle[0] <= '+') {
		set = ""
	}
	c.g[which] = set
	return true
}

// shift takes the final byte of a locking shift.
func (c *charsets) shift(final byte) {
	switch final {
	case 'n':
		c.left = 2
	case 'o':
		c.left = 3
	case '~':
		c.right = 1
	case '}':
		c.right = 0
	case '|':
		c.right = 3
	}
}

// appendSet appends what brings a reset terminal to these character sets.
func (c charsets) appendSet(b []byte) []byte {
	for _, set := range c.g {
		if set != "" {
			b = append(append(b, escape), set...)
		}
	}
	switch c.left {
	case 1:
		b = append(b, shiftOut)
	case 2:
		b = append(b, "\x1bn"...)
	case 3:
		b = append(b, "\x1bo"...)
	}
	switch c.right {
	case 1:
		b = append(b, "\x1b~"...)
	case 3:
		b = append(b, "\x1b|"...)
	}
	if c.eightBit {
		b = append(b, "\x1b G"...)
	}
	if c.noUTF8 {
		b = append(b, "\x1b%@"...)
	}
	return b
}

// appendReset appends what brings a terminal from these character sets to a reset.
func (c charsets) appendReset(b []byte) []byte {
	if c.noUTF8 {
		b = append(b, "\x1b%G"...)
	}
	if c.eightBit {
		b = append(b, "\x1b F"...)
	}
	for i, set := range c.g {
		if set != "" {
			b = append(b, escape, "()*+"[i], 'B')
		}
	}
	if c.left != 0 {
		b = append(b, shiftIn)
	}
	if c.right != 0 {
		b = append(b, "\x1b}"...)
	}
	return b
}
