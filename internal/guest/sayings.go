package guest

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"time"
)

// Bounds of what a guest can have written to the host's log.
const (
	maxLogLine      = 4 << 10
	maxLinesAMinute = 100
)

// sayings passes what a guest's agent says on stderr to our log, as much of it
// as each minute allows, through all reconnects. Not safe for concurrent use.
type sayings struct {
	log   *slog.Logger
	since time.Time // when the minute began
	lines int       // in it
}

// pass reads r to its end.
func (s *sayings) pass(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 && s.allowed() {
			s.log.Info("guest agent", "says", string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// allowed reports whether one more line may be logged.
func (s *sayings) allowed() bool {
	if now := time.Now(); now.Sub(s.since) >= time.Minute {
		if s.lines > maxLinesAMinute {
			s.log.Warn("guest agent said more than is logged", "lines", s.lines-maxLinesAMinute)
		}
		s.since, s.lines = now, 0
	}
	s.lines++
	return s.lines <= maxLinesAMinute
}
