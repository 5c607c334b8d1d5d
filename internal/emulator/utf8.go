package emulator

import "unicode/utf8"

// decode returns the first character and its length, 0 if more bytes are needed. What
// is no UTF-8 is U+FFFD, one for each part that begins like a character, so that what
// follows it is not lost; the Unicode Standard, 3.9, "maximal subparts".
func decode(p []byte) (rune, int) {
	need, low, high := 0, byte(0x80), byte(0xbf)
	switch c := p[0]; {
	case c < 0x80:
		return rune(c), 1
	case c >= 0xc2 && c <= 0xdf:
		need = 1
	case c >= 0xe0 && c <= 0xef:
		need = 2
		if c == 0xe0 {
			low = 0xa0
		} else if c == 0xed {
			high = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		need = 3
		if c == 0xf0 {
			low = 0x90
		} else if c == 0xf4 {
			high = 0x8f
		}
	default:
		return utf8.RuneError, 1
	}
	r := rune(p[0]) & (0x3f >> need)
	for i := 1; i <= need; i++ {
		if i >= len(p) {
			return 0, 0
		}
		if p[i] < low || p[i] > high {
			return utf8.RuneError, i
		}
		r = r<<6 | rune(p[i]&0x3f)
		low, high = 0x80, 0xbf
	}
	return r, need + 1
}
