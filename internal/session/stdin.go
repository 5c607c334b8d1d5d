package session

import (
	"context"
	"errors"
	"net"

	"banger"
	"banger/internal/lineage"
	"banger/sessionstream"
)

// senderName is who those see that find stdin held by a send.
const senderName = "session send"

// SendSession implements banger.SessionStreams. Senders wait for each other, so
// that what two of them send does not mingle; who is attached as the writer is not
// waited for.
func (s *Streams) SendSession(ctx context.Context, vmRef, ref string, r banger.SendRequest) (banger.SendResult, error) {
	x, err := s.finder.session(ctx, vmRef, ref)
	if err == nil {
		x, err = s.launcher.settled(ctx, x)
	}
	if err != nil {
		return banger.SendResult{}, err
	}
	result := banger.SendResult{Epoch: x.Epoch, Offset: x.StdinOffset, EOF: x.StdinEOF}
	switch {
	case x.Status.Ended():
		return result, banger.Errorf(banger.CodeState, "cannot send to session %q: it has ended", x.Name)
	case x.StdinMode != banger.StdinPipe:
		return result, banger.Errorf(banger.CodeState, "cannot send to session %q: its stdin is closed", x.Name).
			WithHint("start it with --stdin pipe")
	}
	unlock, err := s.stdin.Lock(ctx, x.Key())
	if err != nil {
		return result, err
	}
	defer unlock()
	epoch, err := s.epochOfSend(ctx, x, r)
	if err != nil {
		return result, err
	}
	config := sessionstream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) { return s.shims.dial(ctx, x.Key(), epoch) },
		Attach: sessionstream.Attach{
			Role: sessionstream.RoleWriter, AttachID: s.senderID, Client: senderName, NoOutput: true, RawLine: r.RawLine,
		},
		KeepLease: true,
	}
	sent, err := sessionstream.Feed(ctx, config, r.Offset, r.Data, r.EOF)
	if sent.Offset > result.Offset || sent.EOF {
		result = sent
		result.Epoch = epoch
	}
	return result, sendError(x, result, err)
}

// epochOfSend returns the epoch in which a send takes place, if its offset is valid there.
func (s *Streams) epochOfSend(ctx context.Context, x banger.Session, r banger.SendRequest) (banger.Epoch, error) {
	if r.Offset == nil {
		return x.Epoch, nil
	}
	return s.epochs.check(ctx, x, r.Epoch, lineage.Point{Stdin: *r.Offset})
}

// sendError turns the error of a feed into one for the user.
func sendError(x banger.Session, sent banger.SendResult, err error) error {
	if isMoved(err) {
		return banger.Errorf(banger.CodeUnavailable, "cannot continue sending to session %q behind offset %d of epoch %s: %w", x.Name, sent.Offset, sent.Epoch, err).
			WithHint("see what it has accepted with: banger session show")
	}
	refused, ok := errors.AsType[*sessionstream.Error](err)
	if !ok {
		return err
	}
	switch refused.Code {
	case sessionstream.CodeHeld:
		return banger.Errorf(banger.CodeInUse, "cannot send to session %q: %w", x.Name, err).
			WithHint("detach there first, or take over with: banger session attach --takeover")
	case sessionstream.CodeEvicted:
		return banger.Errorf(banger.CodeInUse, "cannot continue sending to session %q at offset %d: %w", x.Name, sent.Offset, err)
	case sessionstream.CodeOffset:
		return banger.Errorf(banger.CodeState, "cannot send to session %q: its stdin is at %d: %w", x.Name, sent.Offset, err)
	case sessionstream.CodeClosed:
		return banger.Errorf(banger.CodeState, "cannot send to session %q behind offset %d: %w", x.Name, sent.Offset, err)
	case sessionstream.CodeLine:
		return banger.Errorf(banger.CodeInvalid, "cannot send to session %q behind offset %d: %w", x.Name, sent.Offset, err).
			WithHint("end the line sooner; for a program that is about to leave line mode: banger session send --raw-line")
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot send to session %q: %w", x.Name, err)
}
