package session

import (
	"context"
	"errors"
	"net"
	"time"

	"banger"
	"banger/sessionstream"
)

// shims reaches what serves the streams of sessions.
type shims struct {
	store    Store
	guests   Guests
	launcher *launcher
	pages    *pages
	epochs   *epochs
	tasks    *tasks
}

// The pauses between attempts to reach a shim that is about to begin or to end
// double from the shortest to the longest.
const (
	minDialPause = 10 * time.Millisecond
	maxDialPause = time.Second
)

// dial opens a connection to what serves a session's streams in an epoch: its shim, once
// that runs and the link is up, or if the session has ended, ourselves. It fails with errMoved
// if the VM has left the epoch.
func (s *shims) dial(ctx context.Context, key banger.SessionKey, epoch banger.Epoch) (net.Conn, error) {
	for pause := minDialPause; ; pause = min(2*pause, maxDialPause) {
		x, err := s.store.GetSession(ctx, key)
		if err == nil && x.Status == banger.StatusStarting {
			x, err = s.launcher.launched(ctx, x)
		}
		if err != nil {
			return nil, err
		}
		if x.Epoch != epoch {
			return nil, errMoved
		}
		if x.Status.Ended() {
			return s.play(ctx, x), nil
		}
		guest, err := s.guests.Guest(ctx, x.VMID)
		if moved := s.epochs.stillIn(ctx, x, epoch); moved != nil { // after the guest was reached
			return nil, moved
		}
		if err == nil {
			var conn net.Conn
			if conn, err = guest.Attach(ctx, x.ID, x.GuestStateDir); err == nil {
				return conn, nil
			}
		}
		if s.awaitEnd(ctx, key, epoch, pause); ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// awaitEnd returns when a session has ended or left an epoch, and after a pause at the
// latest: a shim that cannot be reached mostly has just ended.
func (s *shims) awaitEnd(ctx context.Context, key banger.SessionKey, epoch banger.Epoch, pause time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	_, err := s.store.WaitSession(ctx, key, func(x banger.Session) bool { return x.Status.Ended() || x.Epoch != epoch })
	if err != nil { // nobody will tell, or it is time
		<-ctx.Done()
	}
}

// play returns a connection on which an ended session is served as its shim would
// have done: what is left of the output, out of the logs, and then the exit.
func (s *shims) play(ctx context.Context, x banger.Session) net.Conn {
	ours, theirs := net.Pipe()
	p := &player{pages: s.pages, session: x, conn: ours, reader: sessionstream.NewReader(ours), writer: sessionstream.NewWriter(ours)}
	s.tasks.work.Go(func() {
		defer ours.Close()
		stop := context.AfterFunc(s.tasks.ctx, func() { ours.Close() })
		defer stop()
		if err := p.serve(s.tasks.ctx); err != nil {
			p.refuse(err)
		}
	})
	return theirs
}
