package cli

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"banger/sessionstream"
)

// feed begins to read our stdin for the session.
func (a *attaching) feed() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.noStdin && !a.reading {
		a.reading = true
		go a.readStdin()
	}
}

// fed returns the attachment that our stdin goes to, and what ends it.
func (a *attaching) fed() (*sessionstream.Attachment, context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attachment, a.end
}

// isFull notes that an attachment takes no more of our stdin, and reports whether nothing
// else does.
func (a *attaching) isFull(x *sessionstream.Attachment) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attachment == x {
		a.reading = false
	}
	return !a.reading
}

// readStdin feeds the session with our stdin until that ends or the detach keys
// are typed. Of a viewer nothing but those keys is heeded.
func (a *attaching) readStdin() {
	defer a.terminal.guard()
	var keys keyFilter
	if a.terminal != nil {
		keys.keys = a.detachKeys
	}
	buffer := make([]byte, 32<<10)
	for {
		var pass []byte
		var err error
		detach := false
		if keys.incomplete() && !a.terminal.typedWithin(keyTimeout) {
			pass = keys.flush()
		} else {
			var n int
			n, err = a.Stdin.Read(buffer)
			pass, detach = keys.filter(buffer[:n])
		}
		x, end := a.fed()
		if len(pass) > 0 && !a.view {
			if _, err := x.Write(pass); err != nil && a.isFull(x) {
				return // it takes no more; the receiving side knows why
			}
		}
		switch {
		case detach, err != nil && a.terminal != nil: // a terminal that is gone
			a.leave(end)
			return
		case err != nil && a.eof:
			_ = x.CloseStdin()
			return
		case err != nil:
			return
		}
	}
}

// watchSignals heeds those that concern an attachment. The function that it
// returns ends that.
func (a *attaching) watchSignals(ctx context.Context, end context.CancelCauseFunc) (stop func()) {
	giveBack := takeSignals(ctx, func(s syscall.Signal) bool {
		forward := s == syscall.SIGINT && a.terminal == nil || a.forward
		if !forward || !a.isWriting() {
			return false
		}
		go a.forwardSignal(s)
		return true
	})
	which := []os.Signal{syscall.SIGWINCH, syscall.SIGQUIT}
	if a.terminal != nil {
		which = append(which, syscall.SIGTSTP)
	}
	ended := watch(func(s syscall.Signal) {
		defer a.terminal.guard()
		switch s {
		case syscall.SIGWINCH:
			a.resize()
			return
		case syscall.SIGTSTP: // from outside: the key is the session's
			a.mu.Lock()
			a.stopping = true
			a.mu.Unlock()
		}
		a.leave(end)
	}, which...)
	return func() {
		giveBack()
		ended()
	}
}

// forwardSignal sends a signal on as a terminal's key does.
func (a *attaching) forwardSignal(s syscall.Signal) {
	if err := a.current().Signal(unix.SignalName(s), sessionstream.ToGroup); err != nil {
		fmt.Fprintf(a.Stderr, "banger: cannot send %s to the session: %s\n", unix.SignalName(s), safe(err.Error()))
	}
}
