package cli

import (
	"bytes"
	"strings"
)

const escape = 0x1b

// maxColour bounds a sequence that changes colours, in bytes.
const maxColour = 64

// colourBytes are what such a sequence may have behind its introducer; ECMA-48, 5.4.
const colourBytes = "0123456789;:"

// beginsColour reports whether p is a sequence that changes colours, but for its end.
func beginsColour(p []byte) bool {
	if len(p) >= maxColour || p[0] != escape || len(p) > 1 && p[1] != '[' {
		return false
	}
	return len(p) <= 2 || len(bytes.Trim(p[2:], colourBytes)) == 0
}

// colour returns the length of the sequence that changes colours with which p begins (SGR,
// ECMA-48, 8.3.117), 0 if there is none that may pass. Text must stay visible, as far as
// that is for one sequence to say: concealment does not pass.
func (w *safeWriter) colour(p []byte) int {
	if w.paint == nil || p[0] != escape {
		return 0
	}
	end := bytes.IndexByte(p[:min(len(p), maxColour)], 'm')
	if end < 0 || !beginsColour(p[:end]) || end < 2 {
		return 0
	}
	parameters := strings.Split(string(p[2:end]), ";")
	on := false
	for i := 0; i < len(parameters); i++ {
		code, _, _ := strings.Cut(parameters[i], ":")
		switch code = strings.TrimLeft(code, "0"); code {
		case "": // 0, or absent: an end of all
			on = false
			continue
		case "8":
			return 0
		case "38", "48", "58":
			i += indexedColour(parameters[i:])
		}
		on = true
	}
	w.paint.on.Store(on)
	return end + 1
}

// indexedColour returns how many parameters belong to the first, which begins a colour: 5
// and its number, or 2 and its three parts; ITU-T T.416, 13.1.8.
func indexedColour(parameters []string) int {
	if len(parameters) < 2 {
		return 0
	}
	switch parameters[1] {
	case "5":
		return 2
	case "2":
		return 4
	}
	return 0
}
