package sshhost

import (
	"strings"
	"unicode"
)

// maxSaid bounds what an error quotes of the words of others.
const maxSaid = 1 << 10

// saidError is an error whose text the host or a proxy may have made: it is bounded
// and has no control characters.
type saidError struct{ error }

// Error implements error.
func (e saidError) Error() string { return printable(e.error.Error()) }

// Unwrap returns the error itself.
func (e saidError) Unwrap() error { return e.error }

func printable(s string) string {
	if len(s) > maxSaid {
		s = s[:maxSaid] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
