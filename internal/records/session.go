package records

import (
	"math"
	"strings"

	"banger"
)

// NoteError adds a sentence, which may be empty, to the LastError of s.
func NoteError(s *banger.SessionState, text string) {
	if s.LastError != "" && text != "" {
		s.LastError += "; "
	}
	s.LastError += text
}

// UnlikeName returns a name for a session whose own is taken: with its id.
func UnlikeName(s banger.Session) string {
	suffix := "-" + string(s.ID)
	name := s.Name[:min(len(s.Name), banger.MaxNameBytes-len(suffix))]
	return strings.ToValidUTF8(name, "") + suffix
}

// KeptBytes returns how many bytes of output the session's logs keep at most, as far
// as its guest tells the truth.
func KeptBytes(s banger.Session) int64 {
	limit := s.LogLimit
	switch {
	case limit == 0:
		limit = banger.DefaultLogLimit
	case limit < 0:
		limit = math.MaxInt64
	}
	stdout := min(s.StdoutBytes, limit)
	return stdout + min(s.StderrBytes, limit, math.MaxInt64-stdout)
}

// WithoutValues returns the variables with empty values.
func WithoutValues(s banger.SecretEnv) banger.SecretEnv {
	if s == nil {
		return nil
	}
	names := make(banger.SecretEnv, len(s))
	for name := range s {
		names[name] = ""
	}
	return names
}
