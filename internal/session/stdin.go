package session

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

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
	data, err := s.stdinOf(ctx, x, r)
	if err != nil {
		return result, err
	}
	epoch := data.held.epoch
	if epoch != x.Epoch { // the VM has moved since the session was found
		result = banger.SendResult{Epoch: epoch}
	}
	config := sessionstream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) { return s.shims.dial(ctx, x.Key(), epoch) },
		Attach: sessionstream.Attach{
			Role: sessionstream.RoleWriter, AttachID: s.senderID, Client: senderName, NoOutput: true, RawLine: r.RawLine,
		},
		KeepLease:  true,
		OnAttached: data.attached,
	}
	sent, err := sessionstream.Feed(ctx, config, r.Offset, data, r.EOF)
	if sent.Offset > result.Offset || sent.EOF {
		result = sent
		result.Epoch = epoch
	}
	return result, sendError(x, result, err)
}

// stdinOf returns what a request sends, if its offset is valid in the epoch that the VM is in.
func (s *Streams) stdinOf(ctx context.Context, x banger.Session, r banger.SendRequest) (*sentData, error) {
	d := &sentData{held: held{epoch: x.Epoch}, data: r.Data, eof: r.EOF}
	if d.data == nil {
		d.data = strings.NewReader("")
	}
	if r.Offset == nil {
		return d, nil
	}
	var err error
	d.at = *r.Offset
	d.held, err = s.epochs.check(ctx, x, r.Epoch, lineage.Point{Stdin: d.at})
	return d, err
}

// sentData are the data of a send with an offset. Those that the session has accepted are
// not sent again; so they end with an error where that has accepted others: the offset is of
// an epoch from which its own parted before.
type sentData struct {
	held    held
	data    io.Reader
	at      int64 // the position of the next byte, in the epoch of the offset
	eof     bool  // stdin is closed behind them
	granted int64 // what the session had accepted
}

func (d *sentData) attached(a sessionstream.Attached) {
	if a.Stdin != nil {
		d.granted = a.Stdin.Offset
	}
}

// Read implements io.Reader.
func (d *sentData) Read(p []byte) (n int, err error) {
	if !d.held.past(d.granted) {
		return d.data.Read(p)
	}
	common := d.held.parted.Stdin - d.at
	n, err = d.data.Read(p[:min(int64(len(p)), max(common, 1))])
	if int64(n) > common || errors.Is(err, io.EOF) && d.eof {
		return min(n, int(common)), d.held.stale()
	}
	d.at += int64(n)
	return n, err
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
