package shim

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/sessiondir"
	"banger/internal/signalname"
	"banger/sessionstream"
)

const (
	// shutdownGrace is what a command gets when the guest shuts down.
	shutdownGrace = 5 * time.Second
	// unkillableAfter is when processes that survive SIGKILL, which only the
	// kernel itself can cause, are given up. It counts from the command's end.
	unkillableAfter = 10 * time.Second
)

// signals are those that a shim handles. SIGCHLD has a channel of its own, since a
// burst of it must not crowd out the request to end.
type signals struct{ child, end, ignored chan os.Signal }

// watchSignals comes before anything is started; watchEnd completes it. Ignored signals
// are caught and dropped, not ignored: a command would inherit that.
func watchSignals() signals {
	s := signals{child: make(chan os.Signal, 1), end: make(chan os.Signal, 1), ignored: make(chan os.Signal, 1)}
	signal.Notify(s.child, syscall.SIGCHLD)
	signal.Notify(s.ignored, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGINT, syscall.SIGXFSZ)
	return s
}

// watchEnd has SIGTERM go to the supervisor, which may not run yet, instead of ending the
// process. It comes when there is a session to end, and before that begins.
func (s signals) watchEnd() { signal.Notify(s.end, syscall.SIGTERM) }

// stopRequest asks for the session's end.
type stopRequest struct {
	grace time.Duration
	cause banger.EndedBy
	by    string        // who asks, if somebody does
	taken chan struct{} // closed when it has taken effect
}

// signalRequest asks for a signal.
type signalRequest struct {
	id     string // empty: it is not repeated
	signal unix.Signal
	to     sessionstream.SignalTarget
	// sent is called when it has been sent, before anything that it causes is reported.
	sent   func()
	result chan error
}

// errEnded says that a signal came too late.
var errEnded = errors.New("the command has ended")

// rememberedSignals is how many ids of signals are known again.
const rememberedSignals = 64

// supervisor owns the session's processes. Its fields are used by the one
// goroutine that runs it, the channels excepted.
type supervisor struct {
	signals signals
	stops   chan stopRequest
	sends   chan signalRequest
	changed chan struct{} // something counts otherwise now; holds one
	over    chan struct{} // closed when no request is taken any more

	record       *record
	group        *cgroup // nil without cgroups
	pid          int     // of the command; it leads a process group and session of its own
	timeoutGrace time.Duration
	keepChildren bool
	stopSignal   unix.Signal // for the command alone; 0: SIGTERM for everything

	status    *syscall.WaitStatus // of the command, when it has been reaped
	asked     banger.EndedBy      // why it is being stopped, if it is
	steps     []banger.StopStep   // what was done about it
	signalled []string            // ids of the last signals
	killAt    time.Time           // when the grace ends; zero if nobody asked
	killing   bool
	childless bool // nothing is left
	killError string

	grace   *time.Timer // to killAt
	giveUp  *time.Timer // to unkillableAfter
	timeout *time.Timer // to the session's time limit
}

func newSupervisor(s signals) *supervisor {
	v := &supervisor{
		signals: s, stops: make(chan stopRequest), sends: make(chan signalRequest), changed: make(chan struct{}, 1), over: make(chan struct{}),
		grace: time.NewTimer(time.Hour), giveUp: time.NewTimer(time.Hour), timeout: time.NewTimer(time.Hour),
	}
	v.grace.Stop()
	v.giveUp.Stop()
	v.timeout.Stop()
	return v
}

// take gives it the command, which has just been started. It is called before run.
func (v *supervisor) take(pid int, group *cgroup, l Launch) {
	v.pid, v.group, v.timeoutGrace, v.keepChildren = pid, group, l.TimeoutGrace, l.KeepChildren
	v.stopSignal = signalname.Parse(l.StopSignal)
	if l.Timeout > 0 {
		v.timeout.Reset(l.Timeout)
	}
}

// run returns when the command has ended and nothing of the session is left, or
// nothing that can or is to be killed.
func (v *supervisor) run() {
	defer close(v.over)
	for v.status == nil || !v.childless && v.killing {
		select {
		case <-v.signals.child:
			v.reap()
		case <-v.signals.end:
			v.stop(stopRequest{grace: shutdownGrace, cause: banger.EndedByVMStopped})
		case r := <-v.stops:
			v.stop(r)
			close(r.taken)
		case r := <-v.sends:
			err := v.send(r)
			if err == nil {
				r.sent()
			}
			r.result <- err
		case <-v.timeout.C:
			v.stop(stopRequest{grace: v.timeoutGrace, cause: banger.EndedByTimeout})
		case <-v.grace.C:
			v.endGrace()
		case <-v.changed:
			v.record.change(func(*sessiondir.State) {})
		case <-v.giveUp.C:
			return
		}
	}
}

// ask hands a stop to the supervisor and returns when it has taken effect, or
// when the command had ended before.
func (v *supervisor) ask(grace time.Duration, by string) {
	r := stopRequest{grace: grace, cause: banger.EndedByStop, by: by, taken: make(chan struct{})}
	if grace == 0 {
		r.cause = banger.EndedByKill
	}
	select {
	case v.stops <- r:
		<-r.taken
	case <-v.over:
	}
}

// signal sends a signal. After the command's end the error is errEnded.
func (v *supervisor) signal(r signalRequest) error {
	r.result = make(chan error, 1)
	select {
	case v.sends <- r:
		return <-r.result
	case <-v.over:
		return errEnded
	}
}

func (v *supervisor) send(r signalRequest) error {
	if r.id != "" && slices.Contains(v.signalled, r.id) {
		return nil
	}
	if v.status != nil {
		return errEnded
	}
	var err error
	switch {
	case r.to == sessionstream.ToGroup:
		err = unix.Kill(-v.pid, r.signal)
	case r.to == sessionstream.ToProcess:
		err = unix.Kill(v.pid, r.signal)
	case v.group != nil:
		err = v.group.signal(r.signal)
	default:
		err = signalTree(r.signal)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot send %s: %w", signalname.Of(r.signal), err)
	}
	if r.id != "" {
		v.signalled = append(v.signalled, r.id)
		v.signalled = v.signalled[max(len(v.signalled)-rememberedSignals, 0):]
	}
	return nil
}

// stateChanged has the state recorded and reported again, since what is counted
// elsewhere has changed in a way that matters. It never blocks.
func (v *supervisor) stateChanged() {
	select {
	case v.changed <- struct{}{}:
	default: // it will be
	}
}

// unkilled says what run could not kill; empty if nothing.
func (v *supervisor) unkilled() string {
	if v.childless || !v.killing {
		return ""
	}
	text := "some processes of the session could not be killed"
	if v.killError != "" {
		text += "; " + v.killError
	}
	return text
}

// stop begins to end the session. A later one can only shorten the grace; a kill
// that follows a stop is what then ends it.
func (v *supervisor) stop(r stopRequest) {
	v.reap() // what has ended has not been stopped
	if v.status != nil {
		return
	}
	now, first := time.Now(), v.asked == ""
	if first || v.asked == banger.EndedByStop && r.cause == banger.EndedByKill {
		v.asked = r.cause
	}
	if at := now.Add(r.grace); v.killAt.IsZero() || at.Before(v.killAt) {
		v.killAt = at
		v.grace.Reset(r.grace)
	}
	switch {
	case r.grace <= 0:
		v.grace.Stop()
		v.kill()
		v.recordStep(now, unix.SIGKILL, r)
	case first:
		v.recordStep(now, v.terminate(), r)
	}
}

// endGrace kills what a stop has not ended in its time.
func (v *supervisor) endGrace() {
	v.reap() // it may have been just in time
	if v.status != nil {
		return
	}
	at := time.Now()
	v.kill()
	v.recordStep(at, unix.SIGKILL, stopRequest{cause: v.asked})
}

// recordStep records that a signal was sent, at a time, to end the session.
func (v *supervisor) recordStep(at time.Time, sig unix.Signal, r stopRequest) {
	step := banger.StopStep{At: at.UTC(), Signal: signalname.Of(sig), Cause: r.cause, By: r.by}
	if len(v.steps) == banger.MaxStopSteps {
		v.steps = v.steps[:banger.MaxStopSteps-1]
	}
	v.steps = append(v.steps, step)
	steps := slices.Clone(v.steps) // the state is read by others
	v.record.change(func(s *sessiondir.State) { s.Status, s.StopSteps = banger.StatusStopping, steps })
}

// terminate asks the processes to end, stopped ones too, and returns what it has sent. A
// command that has a stop signal of its own is who ends the others, as in a container.
func (v *supervisor) terminate() unix.Signal {
	sig := cmp.Or(v.stopSignal, unix.SIGTERM)
	var err error
	switch {
	case v.stopSignal != 0: // the command has not been reaped: its id is still its own
		err = unix.Kill(v.pid, sig)
		_ = unix.Kill(v.pid, unix.SIGCONT)
	case v.group != nil:
		err = v.group.signal(sig, unix.SIGCONT)
	default:
		err = unix.Kill(-v.pid, sig)
		_ = unix.Kill(-v.pid, unix.SIGCONT)
	}
	if err != nil {
		v.killError = fmt.Sprintf("cannot signal the session: %v", err)
	}
	return sig
}

// kill kills all that belongs to the session, and continues with each reaping.
func (v *supervisor) kill() {
	v.killing = true
	var err error
	if v.group != nil {
		err = v.group.kill()
	}
	// A process may have left the cgroup, but not the tree. It is looked for when the
	// others are dead: that is a long list while many die.
	err = errors.Join(err, killChildren())
	if err != nil {
		v.killError = fmt.Sprintf("cannot kill the session: %v", err)
	}
}

// reap takes the exit of everything that has ended. After the command itself the
// rest of the session is killed, as the rest of a systemd unit would be, unless it
// is to be kept and nobody asked for the end.
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
			v.timeout.Stop()
			v.giveUp.Reset(unkillableAfter)
			v.killing = v.killing || !v.keepChildren || v.asked != ""
		}
	}
	if v.killing {
		v.kill()
	}
}
