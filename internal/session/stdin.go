package session

import (
	"context"
	"errors"
	"io"

	"banger"
)

// SendSession implements banger.SessionControl. One sender at a time writes to a
// session, so that what two of them send does not mingle and each knows the
// offset it writes at.
func (s *Service) SendSession(ctx context.Context, vmRef, ref string, r banger.SendRequest) (banger.SendResult, error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err == nil {
		x, err = s.settled(ctx, x)
	}
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
	unlock, err := s.stdin.Lock(ctx, x.ID)
	if err != nil {
		return result, err
	}
	defer unlock()
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
			if banger.CodeOf(err) == banger.CodeState && offset != nil && got.Offset >= *offset+int64(len(data)) && (got.EOF || !eof) {
				return nil // it had been accepted before the session ended
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
			return result, banger.Errorf(banger.CodeInvalid, "cannot read what to send behind offset %d: %w", result.Offset, err)
		}
	}
	if r.EOF {
		return result, write(&offset, nil, true)
	}
	return result, nil
}
