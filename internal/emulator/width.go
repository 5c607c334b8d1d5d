package emulator

import "sort"

// widthRange are characters that take the same number of columns.
type widthRange struct {
	first, last rune
	columns     int
}

// Width returns how many columns a character takes: two for wide and full-width ones
// and for emoji, none for marks and other characters that belong to the one before
// them. A sequence of emoji takes the columns of each: so tmux and libvterm have it,
// and so do the programs that draw with wcwidth(3).
func Width(r rune) int {
	switch {
	case r < 0x300 || r >= 0x2500 && r <= 0x25fc: // the latter are lines and blocks
		return 1
	case r >= 0x4e00 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3: // most of what is wide
		return 2
	}
	i := sort.Search(len(notNarrow), func(i int) bool { return notNarrow[i].last >= r })
	if i < len(notNarrow) && notNarrow[i].first <= r {
		return notNarrow[i].columns
	}
	return 1
}
