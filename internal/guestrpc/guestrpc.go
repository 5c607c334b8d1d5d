// Package guestrpc is the control protocol between the daemon and a guest's
// agent: JSON-RPC 2.0, one message a line, over one exec channel of the link;
// Channel says what comes between the lines.
// Parameters and results are the types named here and in package guestapi. The
// guest answers requests concurrently.
package guestrpc

import (
	"encoding/json"
	"time"

	"banger"
	"banger/internal/guestapi"
)

// The methods, with their parameters and results.
const (
	MethodHello    = "hello"            // none → guestapi.GuestHello
	MethodList     = "session.list"     // ListParams → ListPage
	MethodLaunch   = "session.launch"   // guestapi.GuestLaunch → guestapi.GuestSession
	MethodAbandon  = "session.abandon"  // IDParams → guestapi.GuestSession
	MethodStop     = "session.stop"     // StopParams → null
	MethodReadLog  = "session.read_log" // LogRead → LogPage
	MethodRemove   = "session.remove"   // IDParams → null
	MethodSignal   = "session.signal"   // SignalParams → null
	MethodInspect  = "session.inspect"  // IDParams → guestapi.GuestSession
	MethodSpec     = "session.spec"     // SpecParams → SpecPart of what it was launched with
	MethodSetClock = "clock.set"        // ClockParams → null; only where hello reported a clock
	// Shuts the guest down: none → null, when that has begun. Only in machines of ours, and
	// not in those of older builds.
	MethodPowerOff = "machine.power_off"

	// NotifyChanged is pushed by the guest with a guestapi.GuestSession after every
	// change of a state that no answer on this link has reported. It is sent for all
	// changes after the hello was answered.
	NotifyChanged = "session.changed"
)

// CodeBanger is the error code of this protocol, beside those of JSON-RPC. The
// error's data is a banger.Error.
const CodeBanger = -32000

// MaxMessageBytes bounds one line to a guest: a launch of banger.MaxLaunchBytes whose
// every byte JSON has to escape. What a guest may say is in internal/guestbudget.
const MaxMessageBytes = 16 << 20

// ClockParams are those of MethodSetClock.
type ClockParams struct {
	Now time.Time `json:"now"`
}

// IDParams names a session.
type IDParams struct {
	ID banger.SessionID `json:"id"`
}

// ListParams are those of MethodList, which is asked for page after page. The pages are
// in the order of ids.
type ListParams struct {
	After banger.SessionID   `json:"after,omitempty"` // ListPage.Next of the last page
	Limit int                `json:"limit"`           // 1 to guestapi.MaxGuestPage
	IDs   []banger.SessionID `json:"ids,omitempty"`   // only these, ascending, at most guestapi.MaxGuestPage; none: all that are on the disk
}

// ListPage is the result of MethodList. It has as many sessions as fit into PageBytes,
// at least one, and one that does not exist is left out.
type ListPage struct {
	Sessions []json.RawMessage `json:"sessions"`       // each a guestapi.GuestSession
	Next     banger.SessionID  `json:"next,omitempty"` // up to which this page goes; empty: there is no other
}

// PageBytes is what the sessions of a ListPage have as JSON, unless it is one only.
const PageBytes = 512 << 10

// SpecParams are those of MethodSpec.
type SpecParams struct {
	ID     banger.SessionID `json:"id"`
	Offset int64            `json:"offset"` // in spec.json
}

// SpecPart is a part of a session's spec.json.
type SpecPart struct {
	Data []byte `json:"data"` // at most MaxSpecPart bytes
	End  bool   `json:"end"`  // nothing follows
}

// MaxSpecPart bounds the bytes of a SpecPart.
const MaxSpecPart = 256 << 10

// StopParams are those of MethodStop.
type StopParams struct {
	ID      banger.SessionID `json:"id"`
	GraceMS int64            `json:"grace_ms"` // 0 kills at once
	By      string           `json:"by,omitempty"`
}

// SignalParams are those of MethodSignal.
type SignalParams struct {
	Session banger.SessionID `json:"session"`
	guestapi.GuestSignal
}
