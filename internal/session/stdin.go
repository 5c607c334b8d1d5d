package session

import (
	"context"
	"errors"
	"io"

	"banger"
)

// stdinQueue lets one sender at a time write to a session, so that what two of
// them send does not mingle and each knows the offset it writes at.
type stdinQueue struct {
	turn    chan struct{} // has one element while nobody writes
	waiting int           // senders that hold or wait for the turn; guarded by Service.mu
}

// SendSession implements banger.SessionControl.
func (s *Service) SendSession(ctx context.Context, vmRef, ref string, r banger.SendRequest) (banger.SendResult, error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err != nil {
		return banger.SendResult{}, err
	}
	result := banger.SendResult{Offset: x.StdinOffset, EOF: x.StdinEOF}
	switch {
	case x.Status.Ended():
		return result, banger.Errorf(banger.CodeState, "cannot send to session %q: it has ended", x.Name)
	case x.StdinMode != banger.StdinPipe:
		return result, banger.Errorf(banger.CodeState, "cannot send to session %q: its stdin is closed", x.Name).
			WithHint("start it with --stdin pipe")
	}
	leave, err := s.enterStdin(ctx, x.ID)
	if err != nil {
		return result, err
	}
	defer leave()
	return s.send(ctx, x, r)
}

// send writes all of r. Every write after the first names its offset, so that
// it can be repeated when the link breaks and no byte is taken twice; the first
// asks for the offset if the caller gave none.
func (s *Service) send(ctx context.Context, x banger.Session, r banger.SendRequest) (result banger.SendResult, err error) {
	write := func(offset *int64, data []byte, eof bool) error {
		return s.withGuest(ctx, x.VMID, func(g banger.Guest) (err error) {
			got, err := g.WriteStdin(ctx, x.ID, offset, data, eof)
			if err == nil || got.Offset > result.Offset {
				result = got
			}
			return err
		})
	}
	var offset int64
	if r.Offset != nil {
		offset = *r.Offset
	} else {
		if err := write(nil, nil, false); err != nil {
			return result, err
		}
		offset = result.Offset
	}
	buffer := make([]byte, 64<<10)
	for r.Data != nil {
		n, err := r.Data.Read(buffer)
		if n > 0 {
			if err := write(&offset, buffer[:n], false); err != nil {
				return result, err
			}
			offset += int64(n)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return result, banger.Errorf(banger.CodeInvalid, "cannot read what to send after %d bytes were accepted: %w", result.Offset, err)
		}
	}
	if r.EOF {
		return result, write(&offset, nil, true)
	}
	return result, nil
}

// enterStdin waits for the caller's turn to write to a session.
func (s *Service) enterStdin(ctx context.Context, id banger.SessionID) (leave func(), err error) {
	s.mu.Lock()
	q := s.stdin[id]
	if q == nil {
		q = &stdinQueue{turn: make(chan struct{}, 1)}
		q.turn <- struct{}{}
		s.stdin[id] = q
	}
	q.waiting++
	s.mu.Unlock()

	quit := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if q.waiting--; q.waiting == 0 {
			delete(s.stdin, id)
		}
	}
	select {
	case <-q.turn:
		return func() { q.turn <- struct{}{}; quit() }, nil
	case <-ctx.Done():
		quit()
		return nil, context.Cause(ctx)
	}
}
