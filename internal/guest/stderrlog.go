package guest

import (
	"bufio"
	"errors"
	"io"
	"log/slog"

	"banger/internal/guestbudget"
)

// maxLogLine bounds one line of a guest in the host's log, in bytes.
const maxLogLine = 4 << 10

// lineOverhead is what the log needs beside the words of a guest, and escaped may four
// bytes become of one.
const (
	lineOverhead = 128
	escaped      = 4
)

// stderrLog passes what a guest's agent says on stderr to our log, as much of it
// as the guest's budget allows, through all reconnects. Not safe for concurrent use.
type stderrLog struct {
	log    *slog.Logger
	budget *guestbudget.Rate
	left   int // lines that were left out since the last one that was not
}

// pass reads r to its end.
func (s *stderrLog) pass(r io.Reader) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			s.say(line)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// say logs a line, or counts it.
func (s *stderrLog) say(line []byte) {
	if !s.budget.Take(lineOverhead + escaped*len(line)) {
		s.left++
		return
	}
	if s.left > 0 {
		s.log.Warn("guest agent said more than is logged", "lines", s.left)
		s.left = 0
	}
	s.log.Info("guest agent", "says", string(line))
}
