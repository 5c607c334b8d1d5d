package shim

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/sessiondir"
)

const (
	// shutdownGrace is what a command gets when the guest shuts down.
	shutdownGrace = 5 * time.Second
	// unkillableAfter is when processes that survive SIGKILL, which only the
	// kernel itself can cause, are given up. It counts from the command's end.
	unkillableAfter = 10 * time.Second
)

// signals are those that a shim heeds. SIGCHLD has a channel of its own, since a
// burst of it must not crowd out the request to end.
type signals struct{ child, end, ignored chan os.Signal }

// watchSignals comes before anything is started. Ignored signals are caught and
// dropped, not ignored: a command would inherit that.
func watchSignals() signals {
	s := signals{child: make(chan os.Signal, 1), end: make(chan os.Signal, 1), ignored: make(chan os.Signal, 1)}
	signal.Notify(s.child, syscall.SIGCHLD)
	signal.Notify(s.end, syscall.SIGTERM)
	signal.Notify(s.ignored, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT, syscall.SIGXFSZ)
	return s
}

// stopRequest asks for the session's end.
type stopRequest struct {
	grace time.Duration
	by    banger.EndedBy
	taken chan struct{} // closed when it has taken effect
}

// signalRequest asks for a signal to the command, or to its process group.
type signalRequest struct {
	signal unix.Signal
	group  bool
	sent   chan error // gets the result
}

// supervisor owns the session's processes. Its fields are used by the one
// goroutine that runs it, the channels excepted.
type supervisor struct {
	signals signals
	stops   chan stopRequest
	sends   chan signalRequest
	changed chan struct{} // something counts otherwise now; holds one
	over    chan struct{} // closed when no request is taken any more

	record *record
	group  *cgroup // nil without cgroups
	pid    int     // of the command; it leads a process group and session of its own

	status    *syscall.WaitStatus // of the command, when it has been reaped
	asked     banger.EndedBy      // who asked for the end, if anybody did
	killAt    time.Time           // when the grace ends; zero if nobody asked
	killing   bool
	childless bool // nothing is left
	killError string

	grace  *time.Timer // to killAt
	giveUp *time.Timer // to unkillableAfter
}

func newSupervisor(s signals) *supervisor {
	v := &supervisor{
		signals: s, stops: make(chan stopRequest), sends: make(chan signalRequest), changed: make(chan struct{}, 1), over: make(chan struct{}),
		grace: time.NewTimer(time.Hour), giveUp: time.NewTimer(time.Hour),
	}
	v.grace.Stop()
	v.giveUp.Stop()
	return v
}

// run returns when the command has ended and nothing of the session is left, or
// nothing that can be killed.
func (v *supervisor) run() {
	defer close(v.over)
	for v.status == nil || !v.childless {
		select {
		case <-v.signals.child:
			v.reap()
		case <-v.signals.end:
			v.stop(stopRequest{grace: shutdownGrace, by: banger.EndedByVMStopped})
		case r := <-v.stops:
			v.stop(r)
			close(r.taken)
		case r := <-v.sends:
			r.sent <- v.send(r)
		case <-v.grace.C:
			v.kill()
		case <-v.changed:
			v.record.change(func(*sessiondir.State) {})
		case <-v.giveUp.C:
			return
		}
	}
}

// ask hands a stop to the supervisor and returns when it has taken effect, or
// when the command had ended before.
func (v *supervisor) ask(grace time.Duration) {
	r := stopRequest{grace: grace, by: banger.EndedByStop, taken: make(chan struct{})}
	if grace == 0 {
		r.by = banger.EndedByKill
	}
	select {
	case v.stops <- r:
		<-r.taken
	case <-v.over:
	}
}

// signal sends a signal to the command, or to its process group. After the
// command's end it does nothing.
func (v *supervisor) signal(sig unix.Signal, group bool) error {
	r := signalRequest{signal: sig, group: group, sent: make(chan error, 1)}
	select {
	case v.sends <- r:
		return <-r.sent
	case <-v.over:
		return nil
	}
}

func (v *supervisor) send(r signalRequest) error {
	if v.status != nil {
		return nil
	}
	pid := v.pid
	if r.group {
		pid = -pid
	}
	if err := unix.Kill(pid, r.signal); err != nil && err != unix.ESRCH {
		return fmt.Errorf("cannot send %s to the command: %w", unix.SignalName(r.signal), err)
	}
	return nil
}

// stateChanged has the state recorded and told again, since what is counted
// elsewhere has changed in a way that matters. It never blocks.
func (v *supervisor) stateChanged() {
	select {
	case v.changed <- struct{}{}:
	default: // it will be
	}
}

// survivors says what run has left behind; empty if nothing.
func (v *supervisor) survivors() string {
	if v.childless {
		return ""
	}
	return joinTexts("some processes of the session could not be killed", v.killError)
}

// stop begins to end the session. A later one can only shorten the grace; a kill
// that follows a stop is what then ends it.
func (v *supervisor) stop(r stopRequest) {
	if v.status != nil {
		return
	}
	first := v.asked == ""
	if first || v.asked == banger.EndedByStop && r.by == banger.EndedByKill {
		v.asked = r.by
	}
	if at := time.Now().Add(r.grace); v.killAt.IsZero() || at.Before(v.killAt) {
		v.killAt = at
		v.grace.Reset(r.grace)
	}
	switch {
	case r.grace <= 0:
		v.kill()
	case first:
		v.terminate()
	}
	if first {
		v.record.change(func(s *sessiondir.State) { s.Status = banger.StatusStopping })
	}
}

// terminate asks the processes to end, stopped ones too.
func (v *supervisor) terminate() {
	var err error
	if v.group != nil {
		err = v.group.signal(unix.SIGTERM, unix.SIGCONT)
	} else {
		err = unix.Kill(-v.pid, unix.SIGTERM)
		_ = unix.Kill(-v.pid, unix.SIGCONT)
	}
	if err != nil {
		v.killError = fmt.Sprintf("cannot signal the session: %v", err)
	}
}

// kill kills all that belongs to the session, and goes on with each reaping.
func (v *supervisor) kill() {
	v.killing = true
	var err error
	if v.group != nil {
		err = v.group.kill()
	}
	// A process may have left the cgroup, but not the tree.
	if treeErr := killChildren(); treeErr != nil {
		err = treeErr
	}
	if err != nil {
		v.killError = fmt.Sprintf("cannot kill the session: %v", err)
	}
}

// reap takes the exit of everything that has ended. After the command itself the
// rest of the session is killed, as the rest of a systemd unit would be.
func (v *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ECHILD {
			v.childless = true
			return
		}
		if err != nil || pid == 0 {
			break
		}
		if pid == v.pid && (status.Exited() || status.Signaled()) {
			v.status = &status
			v.grace.Stop()
			v.giveUp.Reset(unkillableAfter)
			v.killing = true
		}
	}
	if v.killing {
		v.kill()
	}
}
