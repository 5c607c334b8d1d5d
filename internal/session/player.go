package session

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/sessionstream"
)

// player serves one connection.
type player struct {
	pages   *pages
	session banger.Session
	conn    net.Conn
	reader  *sessionstream.Reader
	writer  *sessionstream.Writer
}

func (p *player) serve(ctx context.Context) error {
	c, err := p.reader.ReadControl()
	if err != nil {
		return err
	}
	attach, ok := c.(*sessionstream.Attach)
	if !ok {
		return &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "the first control is not attach"}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ignoring sync.WaitGroup
	defer ignoring.Wait()
	defer p.conn.Close()
	ignoring.Go(func() {
		defer cancel()
		for { // there is nothing to be done with an ended session
			if _, err := p.reader.Next(); err != nil {
				return
			}
		}
	})
	if err := p.perform(ctx, attach); err != nil {
		p.refuse(err)
	}
	return nil
}

// refuse says why there is no more. Who serves an epoch that the VM has left just ends.
func (p *player) refuse(err error) {
	if !isMoved(err) {
		_ = p.writer.WriteControl(refusal(err))
	}
}

// perform answers the attach and sends all there is to send.
func (p *player) perform(ctx context.Context, attach *sessionstream.Attach) error {
	state := p.session.SessionState
	attached := &sessionstream.Attached{State: state}
	if attach.Role == sessionstream.RoleWriter {
		attached.Stdin = &sessionstream.Grant{Offset: state.StdinOffset, EOF: true, WindowBytes: 1, LeaseMS: 1000}
	}
	next := guestapi.GuestLogRead{ID: p.session.ID, Stream: banger.StreamBoth, MaxBytes: guestapi.MaxLogPageBytes}
	if p.session.TTY {
		next.Stream = banger.StreamStdout
	}
	switch {
	case state.EndedBy == banger.EndedByLaunch: // it has no logs
		attached.Output = cmp.Or(attach.From, &banger.LogCursor{})
		return p.send(attached, &sessionstream.Exit{State: state})
	case attach.NoOutput:
		return p.send(attached, &sessionstream.Exit{State: state})
	case isSilent(state) && isStart(attach.From):
		attached.Output = attach.From
		return p.send(attached, &sessionstream.Exit{State: state})
	case attach.From != nil:
		next.Cursor = *attach.From
		next.Cursor.Epoch = p.session.Epoch
	case attach.Tail != nil:
		next.Tail = attach.Tail
	default:
		next.Tail = new(int)
	}
	for first := true; ; first = false {
		page, err := p.pages.read(ctx, p.session, next, true)
		if err == nil && page.Next.Epoch != p.session.Epoch || banger.CodeOf(err) == banger.CodeStaleEpoch {
			return errMoved
		}
		if err != nil {
			return p.unreadable(next.Cursor, err)
		}
		if first {
			attached.Output = &banger.LogCursor{Stdout: page.Begin.Stdout, Stderr: page.Begin.Stderr}
			if err := p.send(attached); err != nil {
				return err
			}
		}
		for _, chunk := range page.Chunks {
			if chunk.Gap > 0 {
				err = p.send(&sessionstream.Gap{Stream: chunk.Stream, From: chunk.Offset, To: chunk.Offset + chunk.Gap, Reason: chunk.Reason})
			} else {
				err = p.writer.WriteData(channelOf(chunk.Stream), chunk.Data)
			}
			if err != nil {
				return err
			}
		}
		if page.AtEnd {
			return p.send(&sessionstream.Exit{State: state})
		}
		next.Tail, next.Cursor = nil, page.Next
	}
}

// isSilent reports whether a session is known to have written nothing: its shim saw it end.
func isSilent(s banger.SessionState) bool {
	return (s.ExitCode != nil || s.ExitSignal != "") && s.StdoutBytes == 0 && s.StderrBytes == 0
}

// isStart reports whether output is asked for from its first byte on.
func isStart(from *banger.LogCursor) bool { return from != nil && from.Stdout == 0 && from.Stderr == 0 }

// unreadable explains why output cannot be read behind a position. One beyond the end is
// told as the shim would have.
func (p *player) unreadable(at banger.LogCursor, err error) error {
	err = fmt.Errorf("cannot read the output of session %q behind %s: %w", p.session.Name, at, err)
	if banger.CodeOf(err) == banger.CodeInvalid {
		return &sessionstream.Error{Code: sessionstream.CodeOffset, Text: err.Error()}
	}
	return err
}

func (p *player) send(controls ...sessionstream.Control) error {
	for _, c := range controls {
		if err := p.writer.WriteControl(c); err != nil {
			return err
		}
	}
	return nil
}

func channelOf(s banger.Stream) sessionstream.Channel {
	if s == banger.StreamStderr {
		return sessionstream.ChannelStderr
	}
	return sessionstream.ChannelStdout
}
