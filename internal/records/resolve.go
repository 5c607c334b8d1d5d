// Package records is what the parts of the daemon and the command line share about
// records, and a client need not know.
package records

import (
	"fmt"
	"strings"

	"banger"
)

// maxCandidates bounds what an error lists.
const maxCandidates = 10

// Named is a record that can be found by reference.
type Named interface{ Ref() (id, name string) }

// Resolve finds the record that ref means: the one with that id, else the one
// with that name, else the only one whose id or name begins with it. A prefix
// of several is CodeAmbiguous with the candidates; none is CodeNotFound with
// the names there are. kind is the noun for the message.
func Resolve[T Named](kind, ref string, records []T) (T, error) {
	var none T
	if ref == "" {
		return none, banger.Errorf(banger.CodeInvalid, "cannot find %s: its name is empty", kind)
	}
	var byName, byPrefix []T
	for _, r := range records {
		id, name := r.Ref()
		switch {
		case id == ref:
			return r, nil
		case name == ref:
			byName = append(byName, r)
		case strings.HasPrefix(id, ref) || strings.HasPrefix(name, ref):
			byPrefix = append(byPrefix, r)
		}
	}
	matches := byName
	if len(matches) == 0 {
		matches = byPrefix
	}
	switch len(matches) {
	case 1:
		return matches[0], nil
	case 0:
		return none, NotFound(kind, ref, records)
	default:
		return none, Ambiguous(kind, ref, matches)
	}
}

// NotFound is the error for a ref that means none of the records there are.
func NotFound[T Named](kind, ref string, records []T) *banger.Error {
	err := banger.Errorf(banger.CodeNotFound, "cannot find %s %q: no such %s", kind, ref, kind)
	err.Candidates = candidates(records)
	return err.WithHint("list them with: banger %s list", kind)
}

// Ambiguous is the error for a ref that means several records.
func Ambiguous[T Named](kind, ref string, matches []T) *banger.Error {
	err := banger.Errorf(banger.CodeAmbiguous, "cannot tell which %s %q is: it fits %d of them", kind, ref, len(matches))
	err.Candidates = candidates(matches)
	return err.WithHint("give the whole name or id, or a longer prefix")
}

func candidates[T Named](records []T) []string {
	var out []string
	for i, r := range records {
		if i == maxCandidates {
			return append(out, fmt.Sprintf("and %d more", len(records)-i))
		}
		id, name := r.Ref()
		if name == "" {
			name = "(no name)"
		}
		out = append(out, name+" ("+id+")")
	}
	return out
}
