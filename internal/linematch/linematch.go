// Package linematch looks for a regular expression in the lines of an output
// stream while it is written.
package linematch

import (
	"bytes"
	"regexp"

	"banger"
)

// Compile checks everything about a request that can be known without the session.
func Compile(r banger.MatchRequest) (*regexp.Regexp, error) {
	pattern, err := regexp.Compile(r.Pattern)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot look for %.200q: %w", r.Pattern, err)
	}
	if pattern.MatchString("") {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot look for %.200q: the pattern matches the empty string", r.Pattern).
			WithHint("for any output, look for .+")
	}
	if r.Cursor != nil && (r.Cursor.Stdout < 0 || r.Cursor.Stderr < 0) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot look for a match: cursor %v is negative", *r.Cursor)
	}
	return pattern, nil
}

// Matcher looks for a pattern in one stream, line by line.
type Matcher struct {
	pattern *regexp.Regexp
	line    []byte // read, and its end has not come
	at      int64  // the position of line in its stream
}

// New returns a matcher of a stream that is read from a position on, which is
// taken for the beginning of a line.
func New(pattern *regexp.Regexp, at int64) *Matcher { return &Matcher{pattern: pattern, at: at} }

// Take looks at what comes next and returns a match, if there is one, and where.
// Of a line without an end only that is a match which nothing that may follow can
// undo. An empty match is not nil. text is valid until the next call.
func (m *Matcher) Take(data []byte) (offset int64, text []byte) {
	m.line = append(m.line, data...)
	for {
		end := bytes.IndexByte(m.line, '\n')
		size := end + 1
		if end < 0 && len(m.line) >= banger.MaxMatchLine {
			end, size = banger.MaxMatchLine, banger.MaxMatchLine
		}
		if end < 0 {
			return m.certain()
		}
		if offset, text = m.look(m.line[:end]); text != nil {
			return offset, text
		}
		m.line = m.line[size:]
		m.at += int64(size)
	}
}

// Skip continues at a position behind a gap, as at the beginning of a line.
func (m *Matcher) Skip(to int64) { m.line, m.at = m.line[:0], to }

// Finish looks at a last line that will have no end.
func (m *Matcher) Finish() (offset int64, text []byte) {
	if len(m.line) == 0 {
		return 0, nil
	}
	return m.look(m.line)
}

// look looks for a match in a whole line. A terminal ends it with \r\n.
func (m *Matcher) look(line []byte) (offset int64, text []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	loc := m.pattern.FindIndex(line)
	if loc == nil {
		return 0, nil
	}
	return m.at + int64(loc[0]), line[loc[0]:loc[1]:loc[1]]
}

// certain looks for a match that stands whether a letter or a blank follows: then
// it depends on no end of the line, and on no word's.
func (m *Matcher) certain() (offset int64, text []byte) {
	size := len(m.line)
	letter := m.pattern.FindIndex(append(m.line, 'a'))
	blank := m.pattern.FindIndex(append(m.line, ' '))
	if letter == nil || blank == nil || letter[0] != blank[0] || letter[1] > size || blank[1] > size || size == 0 {
		return 0, nil
	}
	return m.at + int64(letter[0]), m.line[letter[0]:min(letter[1], blank[1])]
}
