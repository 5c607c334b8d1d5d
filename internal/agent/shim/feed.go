package shim

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"banger/sessionstream"
)

// feed is a connection that writes to the command's stdin.
type feed struct {
	*conn
	stdin *stdin // nil if the command has none
	at    *int64 // the position of the client's next byte; nil: where stdin stands
}

// run carries the client's bytes to stdin, frame by frame, and answers each.
func (f *feed) run() {
	if f.stdin == nil {
		none := int64(0)
		_ = f.send(&sessionstream.Error{Code: sessionstream.CodeClosed, Text: "the session was started with its stdin closed", Offset: &none})
		return
	}
	if f.send(&sessionstream.Attached{State: f.server.record.snapshot().SessionState}) != nil {
		return
	}
	for {
		err := f.next()
		if err != nil && f.server.isOver() {
			err = f.stdin.refuse(sessionstream.CodeClosed, "the session has ended")
		}
		if err != nil && !f.refuse(err) {
			return
		}
	}
}

// next takes one frame and carries it out.
func (f *feed) next() error {
	h, err := f.reader.Next()
	if err != nil {
		return err
	}
	switch h.Channel {
	case sessionstream.ChannelStdin:
		// It is read whole first: a client that stalls within a frame must not
		// hold up others.
		data := make([]byte, h.Length)
		if _, err := io.ReadFull(f.reader, data); err != nil {
			return err
		}
		return f.data(data)
	case sessionstream.ChannelControl:
		m, err := f.reader.Control()
		if err != nil {
			return err
		}
		if eof, ok := m.(*sessionstream.EOF); ok {
			return f.answer(func(ctx context.Context) error { return f.stdin.end(ctx, eof.Offset) })
		}
	}
	return &sessionstream.Error{Code: sessionstream.CodeInvalid, Text: "a stdin writer must not send that"}
}

func (f *feed) data(p []byte) error {
	err := f.answer(func(ctx context.Context) error { return f.stdin.write(ctx, f.at, p) })
	if f.at != nil {
		next := *f.at + int64(len(p))
		f.at = &next
	}
	return err
}

// answer does something that may block while the command does not read, and
// acknowledges it. If the client ends meanwhile, what it does is cut; that is
// acknowledged too, since the client may only have stopped sending.
func (f *feed) answer(do func(context.Context) error) error {
	ctx, stop := f.whileConnected()
	err := do(ctx)
	stop()
	if _, refused := errors.AsType[*sessionstream.Error](err); refused {
		return err
	}
	ack := &sessionstream.StdinAck{Offset: f.stdin.offset.Load(), EOF: f.stdin.closed.Load()}
	return errors.Join(err, f.send(ack))
}

// whileConnected returns a context that ends when the client closes its side.
// Until stop the connection must not be read.
func (f *feed) whileConnected() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(f.server.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		raw, err := f.net.SyscallConn()
		if err == nil {
			// The callback runs at each event of the poller, which are also those
			// of the peer's end; data that waits to be read does not hide it.
			err = raw.Read(func(fd uintptr) bool { return hungUp(int(fd)) })
		}
		if err == nil {
			cancel()
		}
	})
	return ctx, func() {
		f.net.SetReadDeadline(time.Now())
		watching.Wait()
		cancel()
		f.awaitClient()
	}
}

// hungUp reports whether the peer of a socket has closed it or its sending side.
func hungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(p, 0)
	return n > 0 && err == nil
}
