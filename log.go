package banger

import (
	"fmt"
	"time"
)

// LogRequest selects a part of a session's output.
type LogRequest struct {
	Stream Stream `query:"stream" default:"both" doc:"stdout, stderr or both, which is the default"`
	// Lines counts from the end; negative means from the beginning. Ignored with From.
	Lines int `query:"lines" default:"200" without:"since" doc:"begin this number of lines before the end; negative: at the beginning; default 200"`
	// From is a byte offset in Stream, which must then not be StreamBoth; the
	// range goes to the end.
	From *int64 `query:"from" doc:"begin at this offset; only if stream is stdout or stderr"`
	// Epoch is that of From; a Cursor has its own. Empty: see LogCursor.Epoch.
	Epoch Epoch `query:"epoch" doc:"the epoch in which from counts; default: the one in which the session began"`
	// Cursor, if not nil, is where to begin in both streams, instead of Lines and From.
	Cursor *LogCursor `query:"cursor" doc:"EPOCH:STDOUT,STDERR: begin at these offsets of the two streams, which count in this epoch; without EPOCH and the colon, in the one in which the session began"`
	// Since, if not zero, begins with the first output at or after it, instead of
	// Lines; there is no From then. If nothing is so late yet, it begins at the end.
	// Times of output are those of the guest's clock.
	Since time.Time `query:"since" doc:"begin with the first output at or after this time, or at the end"`
	// Until, if not zero, ends before the first output after it; with Follow also when
	// it is past, by the host's clock.
	Until time.Time `query:"until" doc:"end before the first output after this time; with follow, also when this time has passed"`
	// Grep, if not empty, is a regular expression (RE2): only the lines that match
	// without their ends are passed on, whole, each as one piece; of a line of more than
	// MaxMatchLine, such a part. Each stream has lines of its own; a reading that begins
	// within a line takes the rest for one.
	Grep   string `query:"grep" doc:"regular expression (RE2): only lines that match, each as one piece"`
	Follow bool   `query:"follow" doc:"continue until the session has ended"`
	// Limit ends the reading after this number of bytes, with Grep after the line that has the
	// last of them; 0: no limit.
	Limit int64 `query:"limit_bytes" doc:"end after this number of bytes"`
	// Begin, if not nil, is called before the first piece with the position at which the
	// reading begins, and again with the position where it stands if the VM has moved to
	// another epoch meanwhile in which that is valid. Who counts on from there with LogCursor.Advance
	// can continue by Cursor after a cut, without loss or repeat. An error ends the reading.
	Begin func(LogCursor) error
}

// LogEnd is where the output that was read ends.
type LogEnd struct {
	Next  LogCursor `json:"next" doc:"where to continue"`
	AtEnd bool      `json:"at_end" doc:"there was no output beyond it"`
	Ended bool      `json:"ended" doc:"there will never be more"`
}

// The years of a time that JSON can carry and that a clock of ours may show.
const (
	MinYear = 1970
	MaxYear = 9999
)

// ValidTime reports whether a time lies within these years.
func ValidTime(t time.Time) bool { return t.UTC().Year() >= MinYear && t.UTC().Year() <= MaxYear }

// DefaultLogLines is how many lines of a session's end logs prints by default.
const DefaultLogLines = 200

// LogChunk is a run of bytes that a session wrote to one stream.
type LogChunk struct {
	Stream Stream    `json:"stream"`
	Offset int64     `json:"offset" doc:"position of the first byte in its stream"`
	Time   time.Time `json:"time,omitzero" doc:"when the shim read it; absent if unknown"`
	Data   []byte    `json:"data" doc:"base64"`
	// Gap, if not 0, is how many bytes from Offset on are not kept any more; there
	// are no Data then, and Reason says why.
	Gap    int64  `json:"gap,omitempty" doc:"number of bytes from offset on that are no longer kept; data is then empty"`
	Reason string `json:"reason,omitempty" doc:"why there is a gap"`
}

// The reasons of gaps; one with several has them in this order, with ", " between.
const (
	GapLogLimit    = "log limit"      // Launch.LogLimit
	GapDiskReserve = "disk reserve"   // old output gave way to keep the last of the work disk free
	GapDiskFull    = "disk full"      // the work disk took no more
	GapWriteError  = "write error"    // it could not be written for another cause
	GapUnknown     = "reason unknown" // a crash or a damaged disk took it, or the reason
)

// LogCursor is a position in both streams of a session.
type LogCursor struct {
	// Epoch is that in which the positions count. Empty, it stands for the epoch in which
	// the session began: so a position that was noted without an epoch is valid as far as no
	// branch has parted from another, and never means other bytes.
	Epoch  Epoch `json:"epoch,omitempty" doc:"the epoch in which the positions count; absent: the one in which the session began"`
	Stdout int64 `json:"stdout" doc:"position in stdout: bytes since the session began"`
	Stderr int64 `json:"stderr" doc:"position in stderr"`
}

// String is for texts that people read.
func (c LogCursor) String() string { return fmt.Sprintf("stdout %d, stderr %d", c.Stdout, c.Stderr) }

// Advance returns the position after a chunk.
func (c LogCursor) Advance(chunk LogChunk) LogCursor {
	end := chunk.Offset + int64(len(chunk.Data)) + chunk.Gap
	if chunk.Stream == StreamStderr {
		c.Stderr = end
	} else {
		c.Stdout = end
	}
	return c
}
