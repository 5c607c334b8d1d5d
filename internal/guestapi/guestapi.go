// Package guestapi is the contract between the daemon and a guest: what the daemon can
// ask of one over its link, what a guest reports, and the records of both, which the
// control protocol (package guestrpc) carries and a session's directory keeps. It does
// no I/O.
package guestapi

import (
	"context"
	"iter"
	"net"
	"time"

	"banger"
)

// Guest is what the host can ask of a running guest over its link. Every call
// fails with CodeUnavailable when the link breaks; whether the guest carried
// the request out is then unknown, so each is safe to repeat. Safe for
// concurrent use.
type Guest interface {
	// Launch starts a session. A second Launch of an id returns the first's
	// state and starts nothing. A launch that failed is a state, not an error.
	Launch(ctx context.Context, l GuestLaunch) (GuestSession, error)
	// Abandon makes sure that a session whose Launch got no answer never starts:
	// it returns its state if it did, else records it as failed in StageDialGuest.
	Abandon(ctx context.Context, id banger.SessionID) (GuestSession, error)
	// Stop begins to end a session. It returns when that has begun; a kill
	// when the session has ended, and what outlived its command has been killed.
	Stop(ctx context.Context, id banger.SessionID, r banger.StopRequest) error
	// Signal sends a signal; to repeat a request of the same GuestSignal.ID sends
	// nothing again.
	Signal(ctx context.Context, id banger.SessionID, s GuestSignal) error
	// Inspect returns the state of a session with the counters as they are now.
	Inspect(ctx context.Context, id banger.SessionID) (GuestSession, error)
	// Attach opens a connection to what serves the streams of a running session,
	// whose directory in the guest is dir; package sessionstream is spoken on it. If
	// nothing serves them at the moment, the error is CodeUnavailable.
	Attach(ctx context.Context, id banger.SessionID, dir string) (net.Conn, error)
	// Copy opens a connection to what reads and writes the guest's files, for one copy; the
	// protocol of package transfer is spoken on it. An agent of an older build is
	// CodeMismatch.
	Copy(ctx context.Context) (net.Conn, error)
	ReadLog(ctx context.Context, r GuestLogRead) (GuestLogPage, error)
	// Sessions yields what is on the guest's disk, page by page in the order of ids: all
	// sessions if ids is empty, else those of ids that exist. It holds one page at a time.
	// An error is the last thing that it yields.
	Sessions(ctx context.Context, ids []banger.SessionID) iter.Seq2[[]GuestSession, error]
	// Spec returns what a session was launched with. One that cannot be read is
	// CodeCorrupt.
	Spec(ctx context.Context, id banger.SessionID) (GuestLaunch, error)
	// Remove deletes an ended session's directory; an unknown id is not an error.
	Remove(ctx context.Context, id banger.SessionID) error
}

// GuestPower is what a Guest of a machine of ours can do, too.
type GuestPower interface {
	// PowerOff asks the guest to shut down and returns when that has begun.
	PowerOff(ctx context.Context) error
}

// GuestLaunch is the whole of what a guest gets to start a session; it is kept
// in the session's directory, so that the sessions of a disk can be read from it alone.
type GuestLaunch struct {
	ID banger.SessionID `json:"id"`
	// VMID says whose the session is where several installations use one host.
	VMID           banger.VMID       `json:"vm_id,omitempty"`
	Name           string            `json:"name"`
	Tags           map[string]string `json:"tags,omitempty"`
	IdempotencyKey string            `json:"idempotency_key,omitempty"`
	CreatedAt      time.Time         `json:"created_at"`
	banger.Launch
	// SecretEnv is kept without its values.
	SecretEnv banger.SecretEnv `json:"secret_env,omitempty"`
}

// GuestSession is a guest's report of one session.
type GuestSession struct {
	ID            banger.SessionID `json:"id"`
	GuestStateDir string           `json:"guest_state_dir"`
	banger.SessionState
}

// GuestSignal asks for a signal to a session.
type GuestSignal struct {
	ID     string `json:"id"`     // of the request
	Signal string `json:"signal"` // SIGHUP and so on, or a number
	All    bool   `json:"all,omitempty"`
}

// GuestLogRead asks for one page of a session's output.
type GuestLogRead struct {
	ID     banger.SessionID `json:"id"`
	Stream banger.Stream    `json:"stream"`
	// Tail, if not nil, starts that many lines before the end instead of at Cursor.
	Tail *int `json:"tail,omitempty"`
	// Since, if not nil, starts with the first output at or after it by the guest's
	// clock, or at the end; there is no Tail then.
	Since    *time.Time       `json:"since,omitempty"`
	Cursor   banger.LogCursor `json:"cursor"`
	MaxBytes int              `json:"max_bytes"` // 1 to MaxLogPageBytes
	// Wait makes an empty page wait until there is something to read or the
	// session has ended.
	Wait bool `json:"wait,omitempty"`
}

// GuestLogPage is one page of output.
type GuestLogPage struct {
	Begin  banger.LogCursor  `json:"begin"` // where this page begins: what Tail or Since came to, else Cursor
	Chunks []banger.LogChunk `json:"chunks"`
	Next   banger.LogCursor  `json:"next"`   // where the next page begins
	AtEnd  bool              `json:"at_end"` // nothing beyond Next was there when the page was read
	Ended  bool              `json:"ended"`  // with AtEnd: nothing will ever be
}

// MaxLogPageBytes bounds a page of a log that crosses the link. It is checked on
// both sides before anything is allocated.
const MaxLogPageBytes = 256 << 10

// MaxGuestPage bounds the sessions in a page of Guest.Sessions.
const MaxGuestPage = 256

// GuestHello is the first thing a guest says on a link.
type GuestHello struct {
	Protocol int    `json:"protocol"` // GuestProtocol of the agent
	Version  string `json:"version"`  // of the agent's build
	BootID   string `json:"boot_id"`
	// Clock is that of a machine of ours; a remote host's is not the daemon's business.
	Clock *GuestClock `json:"clock,omitempty"`
	// LoginShells says that the agent knows Launch.LoginShell. An older one does not say so.
	LoginShells bool `json:"login_shells,omitempty"`
	// Copies says that the agent knows Copy. An older one does not say so.
	Copies bool `json:"copies,omitempty"`
}

// GuestClock is what a guest reports of its clock.
type GuestClock struct {
	Now          time.Time `json:"now"`
	Synchronised bool      `json:"synchronised"` // something in the guest keeps it right, such as NTP
}

// GuestProtocol is the version of the control protocol between daemon and agent.
const GuestProtocol = 4

// GuestHandler gets what a guest reports over its link.
type GuestHandler interface {
	// GuestUp is called each time the link has been made, before anyone else gets to
	// use it. An error breaks the link, which then reconnects.
	GuestUp(ctx context.Context, hello GuestHello, guest Guest) error
	// GuestChanged is called with the newest state of a session after it has
	// changed; states in between may be skipped. Never concurrently. Only of sessions
	// that this link has been asked about by their ids, or has launched, changes are reported.
	GuestChanged(ctx context.Context, s GuestSession) error
	// GuestDown is called each time the link has gone down, or could not be made.
	GuestDown(ctx context.Context, cause error) error
}
