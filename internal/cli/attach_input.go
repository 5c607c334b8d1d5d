package cli

import (
	"bytes"
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
		go a.readStdin(a.kept)
		a.kept = nil
	}
}

// fed returns the attachment that our stdin goes to, and what ends it.
func (a *attaching) fed() (*sessionstream.Attachment, context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attachment, a.end
}

// write gives the session what was read of our stdin, over the next attachment if the
// present one takes no more. It reports false if there is none: then what is left is kept
// for it, and the receiving side knows why.
func (a *attaching) write(p []byte) bool {
	for len(p) > 0 {
		x, _ := a.fed()
		a.writes.Lock()
		n, err := x.Write(p)
		a.writes.Unlock()
		if p = p[n:]; err != nil && a.keep(x, p) {
			return false
		}
	}
	return true
}

// keep keeps what an attachment does not take any more, and reports false if there is
// another one that may.
func (a *attaching) keep(x *sessionstream.Attachment, p []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attachment != x {
		return false
	}
	a.reading, a.kept = false, bytes.Clone(p)
	return true
}

// lostInput ends the attachment and counts the bytes of our stdin that were given to it and
// that the session is not known to have accepted.
func (a *attaching) lostInput() int {
	a.attachment.Close()
	a.writes.Lock() // the last write has ended
	defer a.writes.Unlock()
	return a.attachment.Unaccepted()
}

// tellLost warns the user about input that may be lost.
func (a *attaching) tellLost(n int) {
	if n > 0 {
		fmt.Fprintf(a.Stderr, "banger: the last %d bytes of input may not have reached it\n", n)
	}
}

// readStdin feeds the session with our stdin until that ends or the detach keys
// are typed. Of a viewer, all other keys are ignored. kept was read before.
func (a *attaching) readStdin(kept []byte) {
	defer a.terminal.guard()
	if !a.write(kept) {
		return
	}
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
		if !a.view && !a.write(pass) {
			return
		}
		x, end := a.fed()
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

// watchSignals handles those that concern an attachment. The function that it
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
		which = append(which, syscall.SIGTSTP, syscall.SIGPIPE)
	}
	ended := watch(func(s syscall.Signal) {
		defer a.terminal.guard()
		switch s {
		case syscall.SIGPIPE: // a write to stdout or stderr has failed, and says so: os/signal, "SIGPIPE"
			return
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
