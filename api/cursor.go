package api

import (
	"fmt"
	"strconv"
	"strings"

	"banger"
)

// FormatCursor writes a position as the parameter cursor of the log.
func FormatCursor(c banger.LogCursor) string { return fmt.Sprintf("%d,%d", c.Stdout, c.Stderr) }

// ParseCursor is the inverse of FormatCursor.
func ParseCursor(text string) (banger.LogCursor, error) {
	stdout, stderr, ok := strings.Cut(text, ",")
	out, outErr := strconv.ParseInt(stdout, 10, 64)
	err, errErr := strconv.ParseInt(stderr, 10, 64)
	if !ok || outErr != nil || errErr != nil || out < 0 || err < 0 {
		return banger.LogCursor{}, banger.Errorf(banger.CodeInvalid, "cannot use %q as parameter cursor: it is not STDOUT,STDERR", text)
	}
	return banger.LogCursor{Stdout: out, Stderr: err}, nil
}
