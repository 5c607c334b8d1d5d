package machinetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/vmm"
)

// life follows one machine through its life, twice: booting is what takes time.
func life(s *suite) {
	spec := s.Spec(s.T)
	d := s.starter()
	m := s.start(d, spec)
	defer s.end(m)

	var waiters sync.WaitGroup
	for range 8 {
		waiters.Go(func() {
			if err := m.WaitReady(s.bounded()); err != nil {
				s.Errorf("WaitReady of many at once: %v", err)
			}
		})
	}
	waiters.Wait()
	s.greet(m)
	s.mustDescribe(m)
	if m.Info().SSHAddress == "" {
		s.Error("Info has no SSH address")
	}

	other := s.adoptOwned(m.Ref())
	defer s.close(other)
	third, ok := s.adopt(d, other.Ref()).(vmm.Owned)
	if !ok {
		s.Fatal("an adopted machine has no power switch, or no guest of ours")
	}
	defer s.close(third)
	s.mustBeTheSame(m, other, third)
	refusesSecondStart(s, spec, m)

	if err := other.PowerDown(s.bounded()); err != nil {
		s.Fatalf("PowerDown: %v", err)
	}
	for _, h := range []vmm.Owned{m, other, third} {
		s.waitDone(h)
		hasEnded(s, h)
		if !h.PoweredOff() {
			s.Error("a guest that powered off is not told from one that was lost")
		}
	}
	if !d.PoweredOff(m.Ref()) {
		s.Error("PoweredOff by Ref does not say so")
	}
	if _, err := s.Driver(s.T).Adopt(s.Context(), m.Ref()); !errors.Is(err, vmm.ErrMachineGone) {
		s.Errorf("Adopt of a machine that has ended: %v, want ErrMachineGone", err)
	}

	again := s.start(s.starter(), spec)
	defer s.end(again)
	s.waitReady(again) // of this boot: the guest answers
	s.greet(again)
	if _, err := d.Adopt(s.Context(), m.Ref()); !errors.Is(err, vmm.ErrMachineGone) {
		s.Errorf("Adopt of the machine before: %v, want ErrMachineGone", err)
	}
}

// mustDescribe checks what a running machine reports of itself.
func (s *suite) mustDescribe(m vmm.Machine) {
	s.Helper()
	if !json.Valid(m.Ref()) {
		s.Errorf("Ref is not JSON: %s", m.Ref())
	}
}

// mustBeTheSame checks that several handles are of one machine, and that all can be used.
func (s *suite) mustBeTheSame(first vmm.Machine, others ...vmm.Machine) {
	s.Helper()
	var users sync.WaitGroup
	for _, h := range append(others, first) {
		if got, want := h.Info(), first.Info(); got != want {
			s.Errorf("Info of an adopted handle is %+v, of the first %+v", got, want)
		}
		users.Go(func() {
			if err := errors.Join(h.WaitReady(s.bounded()), s.Greet(s.bounded(), h)); err != nil {
				s.Errorf("the guest does not answer: %v", err)
			}
		})
	}
	users.Wait()
}

func refusesSecondStart(s *suite, spec vmm.MachineSpec, m vmm.Machine) {
	s.Helper()
	if _, err := s.starter().Start(s.Context(), spec); banger.CodeOf(err) != banger.CodeState {
		s.Fatalf("Start in the directory of a running machine: %v, want code %s", err, banger.CodeState)
	}
	s.mustRun(m)
	s.greet(m)
	recorded, err := os.ReadFile(filepath.Join(spec.StateDir, vmm.MachineRefName))
	if err != nil {
		s.Fatal(err)
	}
	found := s.adopt(s.Driver(s.T), recorded)
	defer s.close(found)
	s.greet(found)
}

// hasEnded checks what every call answers on a machine that has ended.
func hasEnded(s *suite, m vmm.Owned) {
	s.Helper()
	ctx := s.bounded()
	s.mustBeGone("WaitReady", m.WaitReady(ctx))
	_, err := m.Dial(ctx)
	s.mustBeGone("Dial", err)
	s.mustBeGone("PowerDown", m.PowerDown(ctx))
	if err := m.Kill(ctx); err != nil {
		s.Errorf("Kill of a machine that has ended: %v", err)
	}
}

// survival starts a machine from a process that is killed, and adopts it.
func survival(s *suite) {
	spec := s.Spec(s.T)
	ref := s.StartElsewhere(s.T, spec)
	m := s.adopt(s.Driver(s.T), ref)
	defer s.end(m)
	s.waitReady(m)
	s.greet(m)
	if console, ok := s.Driver(s.T).(vmm.ConsoleLogger); ok {
		if _, err := os.Stat(filepath.Join(spec.StateDir, console.ConsoleLogs()[0])); err != nil {
			s.Error(err)
		}
	}
}

func kill(s *suite) {
	spec := s.Spec(s.T)
	m := s.start(s.starter(), spec)
	defer s.end(m)
	other := s.adoptOwned(m.Ref())
	defer s.close(other)
	waiting := make(chan error, 1)
	go func() { waiting <- other.WaitReady(s.bounded()) }()
	var killers sync.WaitGroup
	for _, h := range []vmm.Owned{m, other} {
		killers.Go(func() {
			if err := h.Kill(s.bounded()); err != nil {
				s.Errorf("Kill: %v", err)
			}
			s.waitDone(h)
			if h.PoweredOff() {
				s.Error("a machine that was killed is said to have powered off")
			}
		})
	}
	killers.Wait()
	if err := <-waiting; err != nil { // it may have been ready before
		s.mustBeGone("WaitReady", err)
	}
	s.mustRunNothing(spec)
	hasEnded(s, m)
}

func giveUp(s *suite) {
	m := s.machine(s.Driver(s.T))
	ref := m.Ref()
	s.close(m)
	s.close(m) // twice is harmless
	if string(m.Ref()) != string(ref) {
		s.Error("Ref has changed")
	}
	again := s.adopt(s.Driver(s.T), ref)
	defer s.end(again)
	waiting := make(chan error, 1)
	closing := s.adopt(s.Driver(s.T), ref)
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	go func() { waiting <- closing.WaitReady(ctx) }()
	s.close(closing) // ends what waits on it
	if err := <-waiting; errors.Is(err, vmm.ErrMachineGone) {
		s.Errorf("WaitReady on a handle that was closed: %v; the machine is not gone", err)
	}
	s.mustRun(again)
}

func failedStart(s *suite) {
	spec := s.Break(s.T, s.Spec(s.T))
	m, err := s.starter().Start(s.Context(), spec)
	if err == nil {
		s.end(m)
		s.Fatal("Start of a machine that cannot run succeeded")
	}
	s.Logf("it says: %v", err)
	s.mustLeaveNothing(spec)
}

func cancelledStart(s *suite) {
	cause := errors.New("the user gave up")
	for _, delay := range []time.Duration{-1, 0, time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		spec := s.Spec(s.T)
		ctx, cancel := context.WithCancelCause(s.Context())
		if delay < 0 {
			cancel(cause)
		}
		timer := time.AfterFunc(max(delay, 0), func() { cancel(cause) })
		m, err := s.starter().Start(ctx, spec)
		timer.Stop()
		cancel(nil)
		switch {
		case err == nil && delay < 0:
			s.Error("Start succeeded with a context that had ended")
			s.end(m)
		case err == nil: // it was faster
			s.mustRun(m)
			s.end(m)
		default:
			if !errors.Is(err, cause) {
				s.Errorf("Start: %v, want the context's cause", err)
			}
			s.mustLeaveNothing(spec)
		}
	}
}

// contexts checks that a call returns when its context has ended, and that the
// machine does not mind.
func contexts(s *suite) {
	m := s.machine(s.Driver(s.T))
	defer s.end(m)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	if err := m.WaitReady(ctx); err != nil && !errors.Is(err, context.Canceled) {
		s.Errorf("WaitReady: %v, want nil or %v", err, context.Canceled)
	}
	if err := s.Greet(ctx, m); err == nil {
		s.Error("its guest was reached with a context that had ended")
	}
	s.mustRun(m)
	powered, ok := m.(vmm.Powered)
	if !ok {
		return
	}
	if err := powered.PowerDown(ctx); !errors.Is(err, context.Canceled) {
		s.Errorf("PowerDown: %v, want %v", err, context.Canceled)
	}
	s.mustRun(m)
	soon, cancel := context.WithTimeout(s.Context(), time.Millisecond)
	defer cancel()
	<-soon.Done()
	if err := powered.Kill(soon); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("Kill: %v, want nil or %v", err, context.DeadlineExceeded)
	}
}

func badRefs(s *suite) {
	d := s.Driver(s.T)
	m := s.machine(d)
	ref := string(m.Ref())
	s.end(m)
	for _, bad := range []string{"", "null", "{}", `"x"`, "[]", "0", ref[:len(ref)/2], `{"version":1}`, `{"version":99999}`} {
		if m, err := d.Adopt(s.Context(), json.RawMessage(bad)); err == nil {
			s.Errorf("Adopt(%s) succeeded", bad)
			s.close(m)
		}
	}
}

// forgedRef names a process that is not the machine's, with and without the
// machine running.
func forgedRef(s *suite) {
	if s.Forge == nil {
		return // a machine without a process
	}
	d := s.starter()
	m := s.start(d, s.Spec(s.T))
	stranger := startStranger(s.T)
	forged := s.Forge(s.T, m.Ref(), stranger.pid)
	_, err := d.Adopt(s.Context(), forged)
	s.mustBeGone("Adopt with the pid of another process", err)
	s.mustRun(m)
	s.end(m)
	_, err = d.Adopt(s.Context(), forged)
	s.mustBeGone("Adopt with the pid of another process", err)
	stranger.mustLive(s.T)
}

// stranger is a process that has nothing to do with machines: cat.
type stranger struct {
	pid  int
	in   io.Writer
	back *bufio.Reader
}

func startStranger(t *testing.T) stranger {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return stranger{cmd.Process.Pid, in, bufio.NewReader(out)}
}

func (p stranger) mustLive(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(p.in, "alive\n"); err != nil {
		t.Fatalf("the other process was touched: %v", err)
	}
	if line, err := p.back.ReadString('\n'); err != nil || line != "alive\n" {
		t.Fatalf("the other process was touched: it answers %q, %v", line, err)
	}
}
