package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"banger"
	"banger/internal/localsocket"
	"banger/internal/records"
	"banger/sessionstream"
)

// attachPatience is how long a socket waits for its client.
const attachPatience = 30 * time.Second

// AttachSession implements banger.SessionStreams. The socket is served by this
// process; what lasts is the attachment, which a client takes to the next daemon.
func (s *Service) AttachSession(ctx context.Context, vmRef, ref string, r banger.AttachRequest) (banger.AttachInfo, error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err == nil && !s.claimed(x.ID) { // a launch in hand is waited for by who serves the attachment
		x, err = s.settled(ctx, x)
	}
	if err != nil {
		return banger.AttachInfo{}, err
	}
	if r.AttachID == "" {
		if err := s.checkAwake(ctx, x); err != nil {
			return banger.AttachInfo{}, err
		}
		r.AttachID = string(banger.NewSessionID())
	} else if !banger.ValidID(r.AttachID) {
		return banger.AttachInfo{}, banger.Errorf(banger.CodeInvalid, "cannot attach to session %q: %.80q is not an attachment id", x.Name, r.AttachID)
	}
	path := filepath.Join(s.attachDir, string(banger.NewSessionID())+".sock")
	var l net.Listener
	if err = os.MkdirAll(s.attachDir, 0o700); err == nil { // somebody may have cleaned up
		l, err = localsocket.Listen(path)
	}
	if err != nil {
		return banger.AttachInfo{}, fmt.Errorf("cannot attach to session %q: %w", x.Name, err)
	}
	number := s.seats.next()
	s.work.Go(func() { s.serveAttachment(l, x, r.AttachID, number) })
	return banger.AttachInfo{
		VMID: x.VMID, SessionID: x.ID, AttachID: r.AttachID, TransportKind: banger.TransportUnix, TransportTarget: path, SocketPath: path,
		StreamFormat: banger.StreamFormatOne,
	}, nil
}

// checkAwake refuses a new attachment to a session whose VM is paused. One that is there
// already waits, and misses nothing.
func (s *Service) checkAwake(ctx context.Context, x banger.Session) error {
	if x.Status.Ended() {
		return nil
	}
	vm, err := s.store.GetVM(ctx, x.VMID)
	if err != nil {
		return err
	}
	return records.CheckNotPaused(vm, "attach to", fmt.Sprintf("session %q", x.Name))
}

// serveAttachment waits for the client and serves it until one side ends, or a
// connection with a higher number comes for the same attachment.
func (s *Service) serveAttachment(l net.Listener, x banger.Session, attachID string, number int64) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	waiting, done := context.WithTimeout(ctx, attachPatience)
	stop := context.AfterFunc(waiting, func() { l.Close() })
	conn, err := l.Accept()
	stop()
	done()
	l.Close() // this removes the socket
	if err != nil {
		return // nobody came
	}
	defer conn.Close()
	unblock := context.AfterFunc(ctx, func() { conn.Close() })
	defer unblock()
	at := seat{x.ID, attachID}
	r := newRelay(conn, func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, x.ID) })
	r.sit = func(end context.CancelCauseFunc) *sessionstream.Error { return s.seats.take(at, number, end) }
	defer s.seats.leave(at, number)
	if err := r.run(ctx, attachID); err != nil {
		s.log.Debug("attachment has ended", "session", x.ID, "attachment", attachID, "cause", err)
	}
}

// sweepAttachments removes the sockets that a daemon which was killed has left.
func (s *Service) sweepAttachments() error {
	entries, err := os.ReadDir(s.attachDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(s.attachDir, e.Name())))
	}
	if err != nil {
		return fmt.Errorf("cannot clean up directory %s: %w", s.attachDir, err)
	}
	return nil
}

// The pauses between attempts to reach a shim that is about to begin or to end
// double from the shortest to the longest.
const (
	minDialPause = 10 * time.Millisecond
	maxDialPause = time.Second
)

// dial opens a connection to what serves a session's streams: its shim, once that runs
// and the link is up, or if the session has ended, ourselves.
func (s *Service) dial(ctx context.Context, id banger.SessionID) (net.Conn, error) {
	for pause := minDialPause; ; pause = min(2*pause, maxDialPause) {
		x, err := s.store.GetSession(ctx, id)
		if err == nil && x.Status == banger.StatusStarting {
			x, err = s.launched(ctx, x)
		}
		if err != nil {
			return nil, err
		}
		if x.Status.Ended() {
			return s.play(ctx, x), nil
		}
		guest, err := s.guests.Guest(ctx, x.VMID)
		if err == nil {
			var conn net.Conn
			if conn, err = guest.Attach(ctx, x.ID, x.GuestStateDir); err == nil {
				return conn, nil
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// refusal puts an error into the form in which a client of a stream gets it.
func refusal(err error) *sessionstream.Error {
	if e, ok := errors.AsType[*sessionstream.Error](err); ok {
		return e
	}
	return &sessionstream.Error{Code: sessionstream.CodeUnavailable, Text: err.Error()}
}
