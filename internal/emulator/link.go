package emulator

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Link is a hyperlink, OSC 8. Params are its "key=value" parameters, as they were.
type Link struct{ Params, URI string }

// maxLink bounds the bytes of a hyperlink; a longer one is none.
const maxLink = 4096

// linkText is what stands in an OSC, as long as it may be a hyperlink. Nothing else in
// an OSC changes the screen.
type linkText struct {
	bytes []byte
	keep  bool
}

func (l *linkText) begin() { l.bytes, l.keep = l.bytes[:0], true }

func (l *linkText) add(p []byte) {
	switch {
	case !l.keep:
	case len(l.bytes)+len(p) > maxLink:
		l.keep, l.bytes = false, l.bytes[:0]
	default:
		l.bytes = append(l.bytes, p...)
		if len(l.bytes) >= 2 && (l.bytes[0] != '8' || l.bytes[1] != ';') {
			l.keep = false
		}
	}
}

// link returns the hyperlink, the zero Link for the end of one; false if it is none.
func (l *linkText) link() (Link, bool) {
	if !l.keep {
		return Link{}, false
	}
	text, ok := strings.CutPrefix(string(l.bytes), "8;")
	if !ok {
		return Link{}, false
	}
	params, uri, ok := strings.Cut(text, ";")
	if !ok || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return Link{}, false
	}
	if uri == "" {
		params = ""
	}
	return Link{params, uri}, true
}
