package api

import "strings"

// Path returns a route's path with its {…} replaced by refs, in order. Every byte
// of a ref that is not a letter or digit is escaped, dots too, so that no part of the
// way takes a ref for a path.
func Path(pattern string, refs ...string) string {
	var b strings.Builder
	for _, segment := range strings.Split(pattern, "/")[1:] {
		b.WriteByte('/')
		if strings.HasPrefix(segment, "{") {
			escape(&b, refs[0])
			refs = refs[1:]
		} else {
			b.WriteString(segment)
		}
	}
	return b.String()
}

func escape(b *strings.Builder, ref string) {
	const hex = "0123456789ABCDEF"
	for i := range len(ref) {
		c := ref[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
}
