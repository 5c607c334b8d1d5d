// Package machinetest is the contract of vmm.Driver as a test suite. Every
// driver passes it, the in-memory one for tests included.
package machinetest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/vmm"
)

// Factory makes what the suite needs of one kind of machine.
type Factory struct {
	// Driver returns a new driver each time, as another process has it: it shares
	// with the others only what machines leave on the host.
	Driver func(t *testing.T) vmm.Driver
	// Spec returns the spec of another bootable machine each time, with folders
	// of its own; NewSpec helps.
	Spec func(t *testing.T) vmm.MachineSpec
	// Break returns a spec that cannot start, for a reason that the driver is not
	// told before it tries.
	Break func(t *testing.T, spec vmm.MachineSpec) vmm.MachineSpec
	// StartElsewhere starts a machine from a process that then dies by SIGKILL,
	// and returns the machine's Ref.
	StartElsewhere func(t *testing.T, spec vmm.MachineSpec) json.RawMessage
	// Greet checks that the guest's server answers on a new connection.
	Greet func(conn net.Conn) error
	// Forge changes a Ref to name another process. Nil if machines have none.
	Forge func(t *testing.T, ref json.RawMessage, pid int) json.RawMessage
	// Processes returns the pids of what the host runs for a VM; nil as above.
	Processes func(t *testing.T, id banger.VMID) []int
	// Boot is how long a guest may take to get ready, on a busy machine.
	Boot time.Duration
}

// suite is one run of the suite's part.
type suite struct {
	*testing.T
	Factory
}

// Run runs the whole suite. Each part leaves no goroutine behind.
func Run(t *testing.T, f Factory) {
	for _, part := range []struct {
		name string
		test func(*suite)
	}{
		{"life of a machine", life},
		{"a machine survives the process that started it", survival},
		{"kill ends a machine at once, and twice is harmless", kill},
		{"a handle given up leaves the machine alone", giveUp},
		{"a failed start leaves nothing", failedStart},
		{"a cancelled start leaves nothing", cancelledStart},
		{"every call ends with its context", contexts},
		{"references that are not ours are refused", badRefs},
		{"a reference to another process touches nothing", forgedRef},
	} {
		t.Run(part.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			part.test(&suite{t, f})
		})
	}
}

// NewSpec returns a spec of a new VM with folders below a temporary one; what
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

func (s *suite) start(d vmm.Driver, spec vmm.MachineSpec) vmm.Machine {
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

// end kills a machine and closes its handle, whatever became of it.
func (s *suite) end(m vmm.Machine) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), s.Boot)
	defer cancel()
	if err := m.Kill(ctx); err != nil {
		s.Errorf("Kill: %v", err)
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
	ctx := s.bounded()
	conn, err := m.Dial(ctx)
	if err != nil {
		s.Fatalf("Dial: %v", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := s.Greet(conn); err != nil {
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
