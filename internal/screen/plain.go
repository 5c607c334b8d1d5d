package screen

import (
	"bytes"
	"regexp"
	"strings"
)

// plainRows and plainBytes bound the text that is shown where a screen cannot be.
const (
	plainRows  = 100
	plainBytes = 64 << 10
)

// plain returns the last rows of output as text, below a line that says so: what is
// left to show where the screen cannot be drawn.
func plain(output []byte) []byte {
	output = output[max(0, len(output)-plainBytes):]
	var b bytes.Buffer
	b.WriteString("\x1b[7mbanger cannot draw this screen; these are the last lines of output, as text\x1b[0m\r\n")
	sequences := regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_k][^\x07\x18\x1a\x1b]*(\x07|\x1b\\)?|\x1b[ -/]*[0-~]`)
	text := strings.ToValidUTF8(string(sequences.ReplaceAll(output, nil)), "\uFFFD")
	lines := strings.Split(text, "\n")
	for i, line := range lines[max(0, len(lines)-plainRows):] {
		if i > 0 {
			b.WriteString("\r\n")
		}
		line = strings.TrimRight(line, "\r")
		line = line[strings.LastIndexByte(line, '\r')+1:] // what came before it was written over
		b.WriteString(strings.Map(printable, line))
	}
	return b.Bytes()
}

// printable is the character, or none for a control.
func printable(r rune) rune {
	if r < 0x20 && r != '\t' || r >= 0x7f && r < 0xa0 {
		return -1
	}
	return r
}
