package control

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// Between two attempts to reach a shim that lives but cannot be reached: it has
// just been started, or is about to end.
const (
	minRetry = time.Millisecond
	maxRetry = time.Second
)

// watch follows a session until it has ended or the server ends. It calls known when its
// shim has reported the state, or cannot, and perhaps again.
func (s *server) watch(x *session, known func()) {
	retry, reached := minRetry, false
	defer known()
	for !x.ended() {
		conn, err := shimclient.Dial(s.ctx, x.dir)
		if err == nil {
			retry, reached = minRetry, true
			err = conn.Watch(s.ctx, func(state banger.SessionState) {
				known()
				x.update(state)
			})
		}
		known()
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

// knownTimeout is how long the other shims wait for one that does not answer.
const knownTimeout = 100 * time.Millisecond

// watchInTurn is watch for a session that was found on the disk, and whose command is
// process: its shim has nothing to do and would be woken. A thousand that are woken
// together keep everything else waiting, so it is one after the other, not before the
// host has its list, and half of the time none. One that somebody asks for, or whose
// command ends, is not behind the others.
func (s *server) watchInTurn(x *session, command process.Identity) {
	waiting, done := context.WithCancel(s.ctx)
	defer done()
	ended := make(chan struct{})
	s.tasks.Go(func() {
		if command.AwaitEnd(waiting) == nil {
			close(ended)
		}
	})
	known := func() {}
	var turn chan struct{} // nil before the first list
	for first := s.firstList; ; {
		select {
		case <-first:
			first, turn = nil, s.turn
			continue
		case <-turn:
			began := time.Now()
			known = sync.OnceFunc(func() {
				time.AfterFunc(time.Since(began), func() { s.turn <- struct{}{} })
			})
			time.AfterFunc(knownTimeout, known)
		case <-x.wanted:
		case <-ended:
		case <-s.ctx.Done():
			return
		}
		break
	}
	done()
	s.watch(x, known)
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
		return false // it has an owner, or we lack files or memory to find out
	case err != nil && !errors.Is(err, fs.ErrNotExist) && banger.CodeOf(err) != banger.CodeCorrupt:
		return false
	}
	lost := s.lost(x, state, err, witnessed)
	s.keep(x.dir, &lost, func(dir string, state sessiondir.State) error {
		return errors.Join(sessiondir.Settle(dir), sessiondir.WriteState(dir, state)) // it may have had no time to settle
	})
	x.update(lost.SessionState)
	return true
}
