package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"banger"
	"banger/internal/records"
	"banger/sessionstream"
)

// Attachments serves those who attach to sessions.
type Attachments struct {
	finder   *finder
	launcher *launcher
	shims    *shims
	epochs   *epochs
	seats    seats           // who serves which attachment
	ctx      context.Context // they end with it
	log      *slog.Logger
}

// AttachSession finds a session, starting, running or ended, and returns what serves its
// streams on one connection: package sessionstream is spoken there. One whose launch
// failed has an exit and no output.
//
// serve returns, and has closed conn, when one side has ended, ctx has, or a connection
// with a higher number has come for the same attachment: numbers are in the order in
// which clients have come. What lasts is the attachment, which a client takes to the next
// daemon.
func (s *Attachments) AttachSession(ctx context.Context, vmRef, ref string) (serve func(ctx context.Context, conn net.Conn, number int64), err error) {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err == nil && !s.launcher.launches.claimed(x.Key()) { // a launch in hand is waited for on the connection
		x, err = s.launcher.settled(ctx, x)
	}
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn net.Conn, number int64) { s.serveAttachment(ctx, conn, x, number) }, nil
}

func (s *Attachments) serveAttachment(ctx context.Context, conn net.Conn, x banger.Session, number int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closing := context.AfterFunc(s.ctx, cancel)
	defer closing()
	defer conn.Close()
	unblock := context.AfterFunc(ctx, func() { conn.Close() })
	defer unblock()
	r := newRelay(conn, x)
	r.enter = func(a *sessionstream.Attach) (held, error) { return s.epochs.admit(ctx, x, a) }
	r.dial = func(ctx context.Context) (net.Conn, error) { return s.shims.dial(ctx, x.Key(), r.held.epoch) }
	r.admit = func() *sessionstream.Error { return s.checkAwake(ctx, x) }
	r.sit = func(attachID string, end context.CancelCauseFunc) *sessionstream.Error {
		return s.seats.take(seat{x.Key(), attachID}, number, end)
	}
	r.leave = func(attachID string) { s.seats.leave(seat{x.Key(), attachID}, number) }
	if err := r.run(ctx); err != nil {
		s.log.Debug("attachment has ended", "session", x.ID, "cause", err)
	}
}

// checkAwake refuses a new attachment to a session whose VM is paused. One that is there
// already waits, and misses nothing.
func (s *Attachments) checkAwake(ctx context.Context, x banger.Session) *sessionstream.Error {
	if x.Status.Ended() {
		return nil
	}
	vm, err := s.finder.vms.GetVM(ctx, x.VMID)
	if err != nil {
		return refusal(err)
	}
	if err := records.CheckNotPaused(vm, "attach to", fmt.Sprintf("session %q", x.Name)); err != nil {
		return &sessionstream.Error{Code: sessionstream.CodePaused, Text: err.Error()}
	}
	return nil
}

// refusal puts an error into the form in which a client of a stream gets it.
func refusal(err error) *sessionstream.Error {
	if e, ok := errors.AsType[*sessionstream.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeStaleEpoch {
		return &sessionstream.Error{Code: sessionstream.CodeStaleEpoch, Text: err.Error(), Parted: e.Parted}
	}
	return &sessionstream.Error{Code: sessionstream.CodeUnavailable, Text: err.Error()}
}
