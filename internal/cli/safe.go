package cli

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// safe returns untrusted text in a form that does nothing to a terminal and
// stays within its line: names, values, tags.
func safe(s string) string {
	var b strings.Builder
	w := safeWriter{to: &b, oneLine: true}
	_, _ = w.Write([]byte(s)) // a strings.Builder does not fail
	_ = w.Flush()
	return b.String()
}

// safeText is safe for text of several lines.
func safeText(s string) string {
	var b strings.Builder
	w := safeWriter{to: &b}
	_, _ = w.Write([]byte(s))
	_ = w.Flush()
	return b.String()
}

// safeWriter makes untrusted bytes harmless to a terminal: everything that could
// move the cursor, change a colour or an order of reading, or be no character
// at all, is shown as a visible escape. Line ends and tabs pass, and with paint the
// sequences that change colours only. It keeps a character or sequence that is not complete
// until the rest of it comes; Flush writes it.
type safeWriter struct {
	to      io.Writer
	oneLine bool   // escape line ends and tabs too
	paint   *paint // not nil: colours pass, and it is told whether there are any
	pending []byte
}

// Write implements io.Writer.
func (w *safeWriter) Write(p []byte) (int, error) {
	in := append(w.pending, p...)
	n := w.complete(in)
	out := w.escape(make([]byte, 0, n+n/8), in[:n])
	w.pending = append(w.pending[:0:0], in[n:]...)
	if _, err := w.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush writes what was kept of an incomplete character.
func (w *safeWriter) Flush() error {
	out := w.escape(nil, w.pending)
	w.pending = nil
	_, err := w.to.Write(out)
	return err
}

// complete returns how many bytes of in can be judged without the next ones: a
// character may be cut, and a carriage return is harmless only before a newline.
func (w *safeWriter) complete(in []byte) int {
	if w.paint != nil {
		if i := bytes.LastIndexByte(in, escape); i >= 0 && beginsColour(in[i:]) {
			return i
		}
	}
	for back := 1; back <= min(len(in), utf8.UTFMax-1); back++ {
		i := len(in) - back
		if utf8.RuneStart(in[i]) {
			if !utf8.FullRune(in[i:]) || in[i] == '\r' && back == 1 {
				return i
			}
			break
		}
	}
	return len(in)
}

func (w *safeWriter) escape(out, in []byte) []byte {
	for i := 0; i < len(in); {
		if n := w.colour(in[i:]); n > 0 {
			out = append(out, in[i:i+n]...)
			i += n
			continue
		}
		r, size := utf8.DecodeRune(in[i:])
		lineEnd := r == '\r' && i+1 < len(in) && in[i+1] == '\n'
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, in[i])
		case !w.oneLine && (r == '\n' || r == '\t' || lineEnd), harmless(r):
			out = append(out, in[i:i+size]...)
		case r < 0x20 || r == 0x7f:
			out = append(out, '^', byte(r)^0x40) // caret notation: ^[ is escape
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}

// harmless reports whether r is visible, a space, or one of the two joiners that
// ordinary writing needs. Format characters such as U+202E are not.
func harmless(r rune) bool {
	const nonJoiner, joiner = 0x200c, 0x200d
	return unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) || r == nonJoiner || r == joiner
}
