package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
	"banger/internal/jsonshape"
	"banger/internal/records"
)

// Bounds of what a guest can make the host hold, beside those of guestbudget. A guest of
// ours stays far below them.
const (
	maxErrorText    = 8 << 10
	maxVersionBytes = 128
	maxOffset       = math.MaxInt64 / 2
	bootIDBytes     = 36 // a UUID; random(4), /proc/sys/kernel/random/boot_id
)

func misunderstood(what, format string, args ...any) error {
	return banger.Errorf(banger.CodeInternal, "cannot understand the guest's %s: %w", what, &nonsense{fmt.Errorf(format, args...)})
}

// nonsense is the part of an error that says what no agent of ours says.
type nonsense struct{ error }

// Unwrap returns the cause.
func (n *nonsense) Unwrap() error { return n.error }

// isNonsense reports whether a guest has ended its link by what it said.
func isNonsense(err error) bool {
	_, misunderstood := errors.AsType[*nonsense](err)
	_, malformed := errors.AsType[*guestrpc.FormError](err)
	return misunderstood || malformed
}

func checkHello(h guestapi.GuestHello) error {
	if len(h.Version) > maxVersionBytes {
		return misunderstood("greeting", "its version has %d bytes", len(h.Version))
	}
	stranger := strings.IndexFunc(h.BootID, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-'
	})
	if len(h.BootID) != bootIDBytes || stranger >= 0 {
		return misunderstood("greeting", "its boot id %.40q is none", h.BootID)
	}
	return nil
}

// parseReport decodes the report of one session and refuses one that no agent of ours
// makes.
func parseReport(data []byte) (s guestapi.GuestSession, err error) {
	if len(data) > guestbudget.ReportBytes {
		return s, misunderstood("report of a session", "it has %d bytes", len(data))
	}
	if err := (jsonshape.Shape{Values: guestbudget.ReportValues}).CheckObject(data); err != nil {
		return s, misunderstood("report of a session", "%w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, misunderstood("report of a session", "%w", err)
	}
	return s, checkReport(s)
}

// checkReport refuses a report that no agent of ours makes.
func checkReport(s guestapi.GuestSession) error {
	text := len(s.GuestStateDir) + len(s.LaunchMessage) + len(s.LaunchRawLog) + len(s.LastError)
	if !banger.ValidID(string(s.ID)) || text > guestbudget.ReportText || records.CheckState(s.SessionState) != nil {
		return banger.Errorf(banger.CodeInternal, "cannot understand the guest's report of session %.40q", string(s.ID))
	}
	return nil
}

// maxReasonBytes bounds the reason of a gap.
const maxReasonBytes = 200

// checkPage refuses a page that is not the next part of what was asked for. Who
// follows a log continues at Next: so every page has bytes, or is the end.
func checkPage(r guestapi.GuestLogRead, p guestapi.GuestLogPage) error {
	const what = "page of a log"
	if r.Tail == nil && r.Since == nil && p.Begin != r.Cursor || p.Begin.Stdout < 0 || p.Begin.Stderr < 0 {
		return misunderstood(what, "it begins at %v", p.Begin)
	}
	next, room, data := p.Begin, r.MaxBytes, false
	for _, c := range p.Chunks {
		at := next.Stdout
		if c.Stream == banger.StreamStderr {
			at = next.Stderr
		}
		known := c.Stream == banger.StreamStdout || c.Stream == banger.StreamStderr
		if !known || r.Stream != banger.StreamBoth && c.Stream != r.Stream {
			return misunderstood(what, "it has a piece of stream %.40q", string(c.Stream))
		}
		if c.Gap < 0 || c.Gap > maxOffset || c.Gap > 0 && len(c.Data) > 0 || len(c.Reason) > maxReasonBytes {
			return misunderstood(what, "it has a gap of %d bytes beside %d", c.Gap, len(c.Data))
		}
		if room -= len(c.Data); room < 0 || len(c.Data) == 0 && c.Gap == 0 || c.Offset != at || at > maxOffset {
			return misunderstood(what, "it has %d bytes of %s at offset %d", len(c.Data), c.Stream, c.Offset)
		}
		data = data || len(c.Data) > 0
		next = next.Advance(c)
	}
	switch {
	case p.Next != next:
		return misunderstood(what, "it ends at %v and says %v", next, p.Next)
	case p.Ended && !p.AtEnd, !data && !p.AtEnd, len(p.Chunks) == 0 && r.Wait && !p.Ended:
		return misunderstood(what, "it has nothing and is not the end")
	}
	return nil
}

// refusal returns an error that the guest sent, with no more text than a user
// reads.
func refusal(e *banger.Error) *banger.Error {
	const maxCodeBytes = 64
	code := e.Code
	if len(code) > maxCodeBytes {
		code = banger.CodeInternal
	}
	return &banger.Error{Code: code, Message: clip(e.Message), Hint: clip(e.Hint)}
}

// bounded returns err with no more text than a user reads: a guest, or its SSH server,
// may have said much.
func bounded(err error) error {
	if err == nil || len(err.Error()) <= maxErrorText {
		return err
	}
	return &clipped{err}
}

// clipped is an error with the beginning of its text.
type clipped struct{ error }

func (c *clipped) Error() string { return clip(c.error.Error()) }

// Unwrap returns the whole.
func (c *clipped) Unwrap() error { return c.error }

func clip(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
