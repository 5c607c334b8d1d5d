package control

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/sessiondir"
)

// Between two attempts to reach a shim that lives but cannot be reached: it has
// just been started, or is about to end.
const (
	minRetry = time.Millisecond
	maxRetry = time.Second
)

// watch follows a session until it has ended or the server ends.
func (s *server) watch(x *session) {
	retry, reached := minRetry, false
	began := s.beginWatch()
	defer began()
	for !x.ended() {
		conn, err := shimclient.Dial(s.ctx, x.dir)
		if err == nil {
			retry, reached = minRetry, true
			err = conn.Watch(s.ctx, func(state banger.SessionState) {
				began()
				x.update(state)
			})
		}
		began()
		if x.ended() || s.ctx.Err() != nil || s.settle(x, reached) {
			return
		}
		s.Logger.Debug("cannot watch session", "session", x.id, "cause", err)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(retry):
		}
		retry = min(2*retry, maxRetry)
	}
}

// Watches begin a few at a time, and not before all sessions are known: a thousand shims
// that wake up together would keep that waiting. One that does not answer is not waited
// for longer.
const (
	beginParallel = 4
	beginTimeout  = 100 * time.Millisecond
)

// beginWatch waits until a watch may begin. The function that it returns tells that it
// has, or could not; more calls of it do nothing.
func (s *server) beginWatch() (began func()) {
	for _, turn := range []<-chan struct{}{s.scanned, s.turns} {
		select {
		case <-turn:
		case <-s.ctx.Done():
			return func() {}
		}
	}
	began = sync.OnceFunc(func() { s.turns <- struct{}{} })
	time.AfterFunc(beginTimeout, began)
	return began
}

// settle records the end of a session that nobody owns, and reports whether it
// has ended. If witnessed, that happened just now.
func (s *server) settle(x *session, witnessed bool) bool {
	lock, lockErr := sessiondir.TryLock(x.dir)
	if lockErr == nil {
		defer lock.Close()
	}
	// It is read under the lock, since the owner may just have written the end.
	state, err := sessiondir.ReadState(os.DirFS(x.dir))
	switch {
	case err == nil && state.Status.Ended():
		x.update(state.SessionState)
		return true
	case lockErr != nil && !errors.Is(lockErr, fs.ErrNotExist):
		return false // it has an owner, or we lack files or memory to tell
	case err != nil && !errors.Is(err, fs.ErrNotExist) && banger.CodeOf(err) != banger.CodeCorrupt:
		return false
	}
	lost := s.lost(x, state, err, witnessed)
	s.keep(x.dir, &lost)
	x.update(lost.SessionState)
	return true
}
