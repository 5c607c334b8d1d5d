package linematch

import (
	"bytes"
	"iter"
	"regexp"
	"time"

	"banger"
)

// CompileFilter checks a pattern for a Filter, which may match where there is nothing.
func CompileFilter(pattern string) (*regexp.Regexp, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot look for %.200q: %w", pattern, err)
	}
	return compiled, nil
}

// Filter picks the lines of one stream that match. A line of more than
// banger.MaxMatchLine bytes is looked at, and picked, in pieces.
type Filter struct {
	pattern *regexp.Regexp
	stream  banger.Stream
	line    []byte    // read, and its end has not come
	at      int64     // the position of line in its stream
	time    time.Time // when line was begun
}

// NewFilter returns a filter of a stream that is read from a position on, which is
// taken for the beginning of a line.
func NewFilter(pattern *regexp.Regexp, stream banger.Stream, at int64) *Filter {
	return &Filter{pattern: pattern, stream: stream, at: at}
}

// At returns the position of the first line that has not been looked at.
func (f *Filter) At() int64 { return f.at }

// Lines looks at what comes next, which is not a gap, and yields the whole lines that
// match, with their ends. Who breaks off must not continue with this filter, whose
// position is behind the last line then.
func (f *Filter) Lines(c banger.LogChunk) iter.Seq[banger.LogChunk] {
	return func(yield func(banger.LogChunk) bool) {
		for data, n := c.Data, 0; len(data) > 0; data = data[n:] {
			if len(f.line) == 0 {
				f.time = c.Time
			}
			room := banger.MaxMatchLine - len(f.line)
			n = bytes.IndexByte(data[:min(len(data), room)], '\n') + 1
			whole := n > 0 || len(data) >= room
			if n == 0 {
				n = min(len(data), room)
			}
			if f.line = append(f.line, data[:n]...); whole && !f.judge(yield) {
				return
			}
		}
	}
}

// Rest yields a last line that will have no end, if it matches.
func (f *Filter) Rest() iter.Seq[banger.LogChunk] {
	return func(yield func(banger.LogChunk) bool) {
		if len(f.line) > 0 {
			f.judge(yield)
		}
	}
}

// Skip continues at a position behind a gap, as at the beginning of a line.
func (f *Filter) Skip(to int64) { f.line, f.at = f.line[:0], to }

// judge yields the line if it matches, and begins the next one. A terminal ends a
// line with \r\n.
func (f *Filter) judge(yield func(banger.LogChunk) bool) (more bool) {
	begin, line := f.at, f.line
	f.line, f.at = f.line[:0], f.at+int64(len(line))
	text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if !f.pattern.Match(text) {
		return true
	}
	return yield(banger.LogChunk{Stream: f.stream, Offset: begin, Time: f.time, Data: bytes.Clone(line)})
}
