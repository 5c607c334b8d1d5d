package records

import (
	"math"
	"path"
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

// DefaultName returns the name of a session that is given none: the command's base name and
// the beginning of an id.
func DefaultName(l banger.Launch, id banger.SessionID) string {
	const idBytes = 6
	base := "shell"
	if !l.LoginShell {
		base = strings.ToValidUTF8(path.Base(string(l.Command)), "_")
	}
	if room := banger.MaxNameBytes - idBytes - 1; len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	return base + "-" + string(id[:idBytes])
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
