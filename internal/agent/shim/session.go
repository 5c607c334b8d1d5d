package shim

import (
	"context"
	"errors"
	"os"
	"time"

	"banger"
	"banger/internal/process"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// session is the composition of a shim's parts, each made by start.
type session struct {
	dir        string
	record     *record
	supervisor *supervisor
	logs       *logs
	stdin      *stdin    // nil if the command has none
	terminal   *terminal // nil if the command has none
	pump       *pump
	group      *cgroup // nil without cgroups
	meter      meter
	server     *server
	used       *os.File // see aging.Exclude
}

// newSession has only a state.
func newSession(dir string, state sessiondir.State, signals signals) *session {
	s := &session{dir: dir, supervisor: newSupervisor(signals)}
	s.record = &record{dir: dir, state: state, counts: s.count, observers: map[*observer]bool{}}
	s.supervisor.record = s.record
	return s
}

// count fills in what changes without being a change of the state.
func (s *session) count(st *banger.SessionState) {
	st.StdinEOF = s.stdin == nil
	if s.stdin != nil {
		s.stdin.count(st)
	}
	if s.logs != nil {
		s.logs.count(st)
	}
	st.Usage = s.meter.read()
}

// start makes what the command needs, in the order in which it must be there
// when the command runs, then starts it, records that, and serves.
func (s *session) start(ctx context.Context, l Launch) (err error) {
	if s.logs, err = openLogs(s.dir, l, s.supervisor.stateChanged); err != nil {
		return err
	}
	if s.server, err = listen(s.dir); err != nil {
		return err
	}
	if err := s.makeCgroup(l); err != nil {
		return err
	}
	ends, err := openStreams(l)
	if err != nil {
		return err
	}
	if err := s.connect(ends, l); err != nil {
		ends.close()
		return err
	}
	pid, err := startCommand(l, ends, s.group)
	if err != nil {
		ends.close()
		return explain(l, err)
	}
	ends.closeChild()
	dieLast()
	s.supervisor.take(pid, s.group, l)
	go s.pump.run() // finish waits for it
	s.recordStart(pid, l.SyncWrites)
	s.server.start(ctx, s)
	return nil
}

// makeCgroup makes the session's cgroup, if it can have one.
func (s *session) makeCgroup(l Launch) (err error) {
	if l.CgroupRoot == "" {
		if l.Limits != (banger.Limits{}) {
			return errors.New("cannot limit the session: the guest has no cgroup (v2) for it")
		}
		return nil
	}
	s.group, err = createCgroup(l.CgroupRoot, string(s.record.state.ID), l.Limits)
	s.meter.group = s.group
	return err
}

// dieLast has the out-of-memory killer spare the shim as long as there is any
// other process, so that the end of its command is always reported; see
// /proc/PID/oom_score_adj in proc(5). The command is there already and does not
// inherit it. Without the right to it (CAP_SYS_RESOURCE) the shim continues without.
func dieLast() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("-999"), 0) }

// connect makes the parts that carry bytes.
func (s *session) connect(ends *streams, l Launch) (err error) {
	if s.pump, err = newPump(s.keep); err != nil {
		return err
	}
	if err := s.pump.add(banger.StreamStdout, ends.stdout); err != nil {
		return err
	}
	if ends.stderr >= 0 {
		if err := s.pump.add(banger.StreamStderr, ends.stderr); err != nil {
			return err
		}
	}
	if ends.stdin == nil {
		return nil
	}
	in, err := newStdin(ends.stdin, l.TTY, s.logs, s.supervisor.stateChanged)
	s.stdin = in
	if l.TTY && err == nil {
		s.terminal = newTerminal(ends.stdin, l.firstWindow(), in, s.logs)
	}
	return err
}

// keep takes what a pump has read from the command.
func (s *session) keep(stream banger.Stream, p []byte) {
	s.terminal.take(p, func() { s.logs.output(stream, p) })
	s.server.notifier.announce()
}

// recordStart records that the command runs; if durably, no crash takes that.
func (s *session) recordStart(pid int, durably bool) {
	record := s.record.begin
	if durably {
		record = func(apply func(*sessiondir.State)) { s.record.change(apply) }
	}
	// The command cannot be reaped before the supervisor runs, so the pid is its own.
	id, err := process.Identify(pid)
	record(func(st *sessiondir.State) {
		st.Status = banger.StatusRunning
		st.GuestPID, st.PIDStartTime = pid, id.StartTime
		st.StartedAt = time.Now().UTC()
		if s.group != nil {
			st.CgroupPath = s.group.path
		}
		if err != nil {
			st.LastError = err.Error()
		}
	})
}

// fail records a launch that failed and removes what start has made.
func (s *session) fail(cause error) {
	if s.server != nil {
		s.server.close(banger.SessionState{}) // nobody could attach
	}
	why := launchError{message: cause.Error(), raw: cause.Error()}
	if e, ok := errors.AsType[*launchError](cause); ok {
		why = *e
	}
	var left error
	if s.group != nil {
		left = s.group.remove()
	}
	s.record.change(func(st *sessiondir.State) {
		st.Status, st.EndedBy, st.LaunchStage = banger.StatusFailed, banger.EndedByLaunch, banger.StageLaunch
		st.LaunchCause, st.LaunchMessage, st.LaunchRawLog = why.cause, why.message, why.raw
		st.EndedAt = time.Now().UTC()
		if left != nil {
			st.LastError = left.Error()
		}
	})
}

// supervise returns when the session has ended and that has been reported; the
// package comment has the order.
func (s *session) supervise() {
	s.supervisor.run()
	endedAt := time.Now().UTC()
	s.pump.finish()
	if s.stdin != nil {
		s.stdin.shutdown()
	}
	s.terminal.finish()
	s.logs.finish()
	e := ending{status: *s.supervisor.status, asked: s.supervisor.asked, ooms: s.meter.finish().OOMKills}
	survivors, left := s.leave()
	final := s.record.change(func(st *sessiondir.State) {
		e.apply(&st.SessionState)
		st.EndedAt = endedAt
		st.Survivors = survivors
		records.NoteError(&st.SessionState, s.supervisor.unkilled())
		if left != nil {
			records.NoteError(&st.SessionState, left.Error())
		}
	})
	s.server.close(final.SessionState)
}

// leave lists the processes that are left on purpose, which keep the cgroup, or
// else removes that.
func (s *session) leave() (survivors *banger.Survivors, err error) {
	if s.supervisor.keepChildren {
		survivors, err = survivorsOf(s.group)
	}
	if s.group != nil && survivors == nil {
		err = errors.Join(err, s.group.remove())
	}
	return survivors, err
}
