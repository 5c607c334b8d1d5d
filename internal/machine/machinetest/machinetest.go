// Package machinetest is the contract of vmm.Driver as a test suite. Every driver passes
// it, with the capabilities that it has; the in-memory one for tests included.
package machinetest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/vmm"
)

// Factory makes what the suite needs of one kind of machine.
type Factory struct {
	// Can are the capabilities that the driver has, no more and no fewer.
	Can []banger.Capability
	// Driver returns a new driver each time, as another process has it: it shares
	// with the others only what machines leave on the host.
	Driver func(t *testing.T) vmm.Driver
	// Greet checks that the guest of a machine answers; Dialed helps.
	Greet func(ctx context.Context, m vmm.Machine) error
	// Boot is how long a guest may take to get ready, on a busy machine.
	Boot time.Duration

	Starter  // of a vmm.Starter
	Enroller // of a vmm.Enroller
}

// Starter is what the suite needs of a driver that makes machines.
type Starter struct {
	// Spec returns the spec of another bootable machine each time, with directories
	// of its own; NewSpec helps.
	Spec func(t *testing.T) vmm.MachineSpec
	// Break returns a spec that cannot start, for a reason that the driver is not
	// told before it tries.
	Break func(t *testing.T, spec vmm.MachineSpec) vmm.MachineSpec
	// StartElsewhere starts a machine from a process that then dies by SIGKILL,
	// and returns the machine's Ref.
	StartElsewhere func(t *testing.T, spec vmm.MachineSpec) json.RawMessage
	// Forge changes a Ref to name another process. Nil if machines have none.
	Forge func(t *testing.T, ref json.RawMessage, pid int) json.RawMessage
	// Processes returns the pids of what the host runs for a VM; nil as above.
	Processes func(t *testing.T, id banger.VMID) []int
}

// Enroller is what the suite needs of a driver of machines that are there without it.
type Enroller struct {
	// Host is one that can be added.
	Host banger.RemoteRequest
	// Refusing is one that lets nobody in.
	Refusing banger.RemoteRequest
}

// suite is one run of the suite's part.
type suite struct {
	*testing.T
	Factory
}

// part is one part of the contract, which a driver with a capability keeps.
type part struct {
	name string
	of   banger.Capability // "": of all drivers
	test func(*suite)
}

func parts() []part {
	return []part{
		{"it can what it says that it can", "", capabilities},
		{"a handle given up leaves the machine alone", "", giveUp},
		{"every call ends with its context", "", contexts},
		{"references that are not ours are refused", "", badRefs},
		{"life of a machine", banger.CanPower, life},
		{"a machine survives the process that started it", banger.CanPower, survival},
		{"kill ends a machine at once, and twice is harmless", banger.CanPower, kill},
		{"a failed start leaves nothing", banger.CanPower, failedStart},
		{"a cancelled start leaves nothing", banger.CanPower, cancelledStart},
		{"a reference to another process touches nothing", banger.CanPower, forgedRef},
		{"a machine that is there is used and forgotten", banger.CanUnlock, enrolled},
		{"a machine that lets nobody in is not added", banger.CanUnlock, refusing},
	}
}

// Run runs all of the suite that the driver's capabilities call for. Each part leaves no
// goroutine behind.
func Run(t *testing.T, f Factory) {
	for _, part := range parts() {
		if part.of != "" && !slices.Contains(f.Can, part.of) {
			continue
		}
		t.Run(part.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			part.test(&suite{t, f})
		})
	}
}

// Dialed is Factory.Greet for machines that are dialled: greet checks that the guest's
// server answers on a new connection.
func Dialed(greet func(conn net.Conn) error) func(ctx context.Context, m vmm.Machine) error {
	return func(ctx context.Context, m vmm.Machine) error {
		conn, err := m.(vmm.Dialer).Dial(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			conn.SetDeadline(deadline)
		}
		return greet(conn)
	}
}

// NewSpec returns a spec of a new VM with directories below a temporary one; what
// it boots is left to the caller.
func NewSpec(t *testing.T) vmm.MachineSpec {
	t.Helper()
	spec := vmm.MachineSpec{VMID: banger.NewVMID(), CPUs: 1, MemoryMiB: 256}
	dir := t.TempDir()
	// The names hold what separates QEMU's options and what a shell splits at.
	spec.StateDir = filepath.Join(dir, "state, with $(odd) name "+strings.Repeat("longer than a socket path may be ", 4))
	if err := os.Mkdir(spec.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return spec
}

// starter returns a new driver that makes machines.
func (s *suite) starter() vmm.Starter { return s.Driver(s.T).(vmm.Starter) }

// machine returns one that runs, by a driver of whatever kind.
func (s *suite) machine(d vmm.Driver) vmm.Machine {
	s.Helper()
	if d, ok := d.(vmm.Starter); ok {
		return s.start(d, s.Spec(s.T))
	}
	m, err := d.(vmm.Enroller).Probe(s.Context(), s.Host)
	if err != nil {
		s.Fatalf("Probe: %v", err)
	}
	return m
}

func (s *suite) start(d vmm.Starter, spec vmm.MachineSpec) vmm.Owned {
	s.Helper()
	m, err := d.Start(s.Context(), spec)
	if err != nil {
		s.Fatalf("Start: %v", err)
	}
	return m
}

func (s *suite) adopt(d vmm.Driver, ref json.RawMessage) vmm.Machine {
	s.Helper()
	m, err := d.Adopt(s.Context(), ref)
	if err != nil {
		s.Fatalf("Adopt: %v", err)
	}
	return m
}

// adoptOwned is adopt for a driver that makes machines.
func (s *suite) adoptOwned(ref json.RawMessage) vmm.Owned {
	s.Helper()
	m, ok := s.adopt(s.Driver(s.T), ref).(vmm.Owned)
	if !ok {
		s.Fatal("an adopted machine has no power switch, or no guest of ours")
	}
	return m
}

// end ends a machine, or forgets it, and closes its handle, whatever became of it.
func (s *suite) end(m vmm.Machine) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), s.Boot)
	defer cancel()
	if m, ok := m.(vmm.Powered); ok {
		if err := m.Kill(ctx); err != nil {
			s.Errorf("Kill: %v", err)
		}
	}
	if m, ok := m.(vmm.Standing); ok {
		m.Forget()
	}
	s.close(m)
}

func (s *suite) close(m vmm.Machine) {
	s.Helper()
	if err := m.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
}

// bounded is a context for what must not take longer than a boot.
func (s *suite) bounded() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), s.Boot)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) waitReady(m vmm.Machine) {
	s.Helper()
	if err := m.WaitReady(s.bounded()); err != nil {
		s.Fatalf("WaitReady: %v", err)
	}
}

func (s *suite) greet(m vmm.Machine) {
	s.Helper()
	if err := s.Greet(s.bounded(), m); err != nil {
		s.Fatalf("the guest does not answer: %v", err)
	}
}

func (s *suite) waitDone(m vmm.Machine) {
	s.Helper()
	select {
	case <-m.Done():
	case <-s.bounded().Done():
		s.Fatal("Done is not closed")
	}
}

func (s *suite) mustRun(m vmm.Machine) {
	s.Helper()
	select {
	case <-m.Done():
		s.Fatal("the machine has ended")
	default:
	}
}

func (s *suite) mustBeGone(what string, err error) {
	s.Helper()
	if !errors.Is(err, vmm.ErrMachineGone) {
		s.Errorf("%s on a machine that has ended: %v, want ErrMachineGone", what, err)
	}
}

// mustLeaveNothing checks that neither files nor processes of a machine are left.
func (s *suite) mustLeaveNothing(spec vmm.MachineSpec) {
	s.Helper()
	entries, err := os.ReadDir(spec.StateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Error(err)
	}
	for _, e := range entries {
		s.Errorf("%s is left over", filepath.Join(spec.StateDir, e.Name()))
	}
	s.mustRunNothing(spec)
}

func (s *suite) mustRunNothing(spec vmm.MachineSpec) {
	s.Helper()
	if s.Processes == nil {
		return
	}
	if pids := s.Processes(s.T, spec.VMID); len(pids) > 0 {
		s.Errorf("processes %v are left over", pids)
	}
}
