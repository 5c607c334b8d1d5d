package cli

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"banger/sessionstream"
)

// watchSignals handles those that concern an attachment. The function that it
// returns ends that.
func (r *round) watchSignals(ctx context.Context) (stop func()) {
	giveBack := takeSignals(ctx, func(s syscall.Signal) bool {
		forward := s == syscall.SIGINT && !r.terminal.hasKeys() || r.forward
		if !forward || !r.isWriting() {
			return false
		}
		go r.forwardSignal(s)
		return true
	})
	which := []os.Signal{syscall.SIGWINCH, syscall.SIGQUIT}
	if r.terminal != nil {
		which = append(which, syscall.SIGTSTP, syscall.SIGPIPE)
	}
	ended := watch(func(s syscall.Signal) {
		defer r.terminal.guard()
		switch s {
		case syscall.SIGPIPE: // a write to stdout or stderr has failed, and says so: os/signal, "SIGPIPE"
			return
		case syscall.SIGWINCH:
			r.picture.resize()
			return
		case syscall.SIGTSTP: // from outside: the key is the session's
			r.mu.Lock()
			r.stopping = true
			r.mu.Unlock()
		}
		r.leave()
	}, which...)
	return func() {
		giveBack()
		ended()
	}
}

// forwardSignal sends a signal on as a terminal's key does.
func (r *round) forwardSignal(s syscall.Signal) {
	if err := r.attachment.Signal(unix.SignalName(s), sessionstream.ToGroup); err != nil {
		fmt.Fprintf(r.Stderr, "banger: cannot send %s to the session: %s\n", unix.SignalName(s), safe(err.Error()))
	}
}
