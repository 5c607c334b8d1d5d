package api

import (
	"fmt"
	"strconv"
	"strings"

	"banger"
)

// FormatCursor writes a position as the parameter cursor of the log: STDOUT,STDERR, with
// the epoch and a colon before it if there is one.
func FormatCursor(c banger.LogCursor) string {
	at := fmt.Sprintf("%d,%d", c.Stdout, c.Stderr)
	if c.Epoch != "" {
		at = string(c.Epoch) + ":" + at
	}
	return at
}

// ParseCursor is the inverse of FormatCursor.
func ParseCursor(text string) (banger.LogCursor, error) {
	epoch, positions, named := strings.Cut(text, ":")
	if !named {
		epoch, positions = "", text
	}
	stdout, stderr, ok := strings.Cut(positions, ",")
	out, outErr := strconv.ParseInt(stdout, 10, 64)
	err, errErr := strconv.ParseInt(stderr, 10, 64)
	if !ok || outErr != nil || errErr != nil || out < 0 || err < 0 || named && epoch == "" {
		return banger.LogCursor{}, banger.Errorf(banger.CodeInvalid, "cannot use %q as parameter cursor: it is not EPOCH:STDOUT,STDERR or STDOUT,STDERR", text)
	}
	return banger.LogCursor{Epoch: banger.Epoch(epoch), Stdout: out, Stderr: err}, nil
}
