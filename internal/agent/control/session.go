package control

import (
	"context"
	"os"
	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
)

// session is what this server knows of one session. Safe for concurrent use.
type session struct {
	id  banger.SessionID
	dir string
	// push reports a change on the link, if it can.
	push func(guestapi.GuestSession) (reported bool)

	// wanted is closed, by want, when somebody has asked for the session.
	wanted chan struct{}
	want   func()

	mu       sync.Mutex // guards the fields below, and the order of pushes
	state    banger.SessionState
	reported int64         // the highest sequence that an answer or a push has reported
	changed  chan struct{} // closed at the next change
}

func newSession(id banger.SessionID, dir string, state banger.SessionState, push func(guestapi.GuestSession) bool) *session {
	wanted := make(chan struct{})
	return &session{
		id: id, dir: dir, push: push, state: state, changed: make(chan struct{}),
		wanted: wanted, want: sync.OnceFunc(func() { close(wanted) }),
	}
}

// current returns the state, and a channel that is closed when there is a newer one.
func (x *session) current() (banger.SessionState, <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state, x.changed
}

func (x *session) ended() bool {
	state, _ := x.current()
	return state.Status.Ended()
}

// endedOnDisk reports whether a session has ended, by its own record if the news
// has not arrived yet.
func (x *session) endedOnDisk() bool {
	if x.ended() {
		return true
	}
	state, err := sessiondir.ReadState(os.DirFS(x.dir))
	if err != nil || !state.Status.Ended() {
		return false
	}
	x.update(state.SessionState)
	return true
}

// update takes in a state unless a newer one is known, and reports it.
func (x *session) update(state banger.SessionState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if state.Sequence <= x.state.Sequence {
		return
	}
	x.state = state
	close(x.changed)
	x.changed = make(chan struct{})
	if state.Sequence > x.reported && x.push(x.reportLocked()) {
		x.reported = state.Sequence
	}
}

// report returns the state for an answer, so that it is not pushed too.
func (x *session) report() guestapi.GuestSession {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reported = max(x.reported, x.state.Sequence)
	return x.reportLocked()
}

func (x *session) reportLocked() guestapi.GuestSession { return x.reportOf(x.state) }

// reportOf is the report of a state.
func (x *session) reportOf(state banger.SessionState) guestapi.GuestSession {
	return guestapi.GuestSession{ID: x.id, GuestStateDir: x.dir, SessionState: sessiondir.Report(state)}
}

// awaitStart returns when a session that another control server is launching has
// been launched.
func (x *session) awaitStart(ctx context.Context) error {
	return x.await(ctx, func(s banger.Status) bool { return s != banger.StatusStarting })
}

// await returns when the status of a session is one that is awaited.
func (x *session) await(ctx context.Context, awaited func(banger.Status) bool) error {
	for {
		state, changed := x.current()
		if awaited(state.Status) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
