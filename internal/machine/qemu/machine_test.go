//go:build !unit

package qemu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/vmm"
	"banger/test/wait"
)

// start starts a machine that is killed when the test ends.
func start(t *testing.T, spec vmm.MachineSpec) vmm.Owned {
	t.Helper()
	m, err := newDriver().Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Kill(context.WithoutCancel(t.Context())), m.Close()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func waitReady(t *testing.T, m vmm.Machine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	if err := m.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

// newDisk makes a raw disk of 16 MiB that begins with text.
func newDisk(t *testing.T, name, text string, readOnly bool) vmm.MachineDisk {
	t.Helper()
	d := vmm.MachineDisk{Path: filepath.Join(t.TempDir(), name+", raw"), Name: vmm.DiskName(name), ReadOnly: readOnly}
	if err := os.WriteFile(d.Path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.Path, 16<<20); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestMachine_GuestSeesItsDisks(t *testing.T) {
	spec := newSpec(t)
	image := newDisk(t, "image", "shared", true)
	system := newDisk(t, "system-012345", "old", false) // as long as a serial number may be
	spec.Disks = []vmm.MachineDisk{image, system}
	m := start(t, spec)

	// Another machine may share the image, but not the system disk.
	other := newSpec(t)
	other.Disks = []vmm.MachineDisk{image}
	start(t, other)
	thief := newSpec(t)
	thief.Disks = []vmm.MachineDisk{image, system}
	_, err := newDriver().Start(t.Context(), thief)
	if banger.CodeOf(err) != banger.CodeInUse || !strings.Contains(err.Error(), system.Path) {
		t.Errorf("Start with a disk in use: %v, want code %s and the disk's name", err, banger.CodeInUse)
	}

	waitReady(t, m)
	want := "banger-image 1 32768 \nbanger-system-012345 0 32768 \n"
	if got := order(t, m, "disks"); got != want {
		t.Errorf("the guest sees the disks %q, want %q", got, want)
	}
	if got := order(t, m, "write", "banger-"+string(system.Name), "new"); got != "" {
		t.Errorf("write to the system disk: %s", got)
	}
	if got := order(t, m, "write", "banger-"+string(image.Name), "new"); got == "" {
		t.Error("the guest could write to the image")
	}
	for disk, want := range map[string]string{system.Path: "new", image.Path: "sha"} {
		data, err := os.ReadFile(disk)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(data[:3]); got != want {
			t.Errorf("%s begins with %q, want %q", disk, got, want)
		}
	}
}

func TestMachine_GuestMayPrintForEverAndReboot(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	spec := newSpec(t)
	m, err := newDriver().Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer func() { _ = m.Kill(context.WithoutCancel(t.Context())) }()
	waitReady(t, m)

	const written, kept = 100 << 10, 64 << 10
	if got := order(t, m, "ready", strconv.Itoa(written)); got != "done\n" {
		t.Fatalf("write to the ready port: %q", got)
	}
	wait.For(t, "the ready file is full, and no more than that", func() bool {
		info, err := os.Stat(filepath.Join(spec.StateDir, "ready"))
		if err != nil || info.Size() > kept {
			t.Fatalf("the ready file: %v, %v", info, err)
		}
		return info.Size() == kept
	})
	waitReady(t, m) // its line is kept

	before := greeting(t, m)
	order(t, m, "reboot")
	var after string
	wait.For(t, "the guest is back", func() bool {
		conn, err := m.Dial(t.Context())
		if err != nil {
			t.Fatal(err) // the machine continues
		}
		defer conn.Close()
		// One that QEMU took while the guest was away may never be answered.
		conn.SetDeadline(time.Now().Add(time.Second))
		after, err = bootIDOf(conn)
		return err == nil && after != before
	})
	console, err := os.ReadFile(filepath.Join(spec.StateDir, consoleName))
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(console)) == 0 {
		t.Error("the console log is empty")
	}
}

func greeting(t *testing.T, m vmm.Dialer) string {
	t.Helper()
	conn, err := m.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(bootTimeout))
	id, err := bootIDOf(conn)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A process that is stopped answers nothing, and SIGTERM waits.
func TestMachine_ThatHangsBlocksNobodyAndIsKilled(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	m, err := newDriver().Start(t.Context(), newSpec(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := syscall.Kill(m.Info().PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := m.PowerDown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PowerDown of a stopped machine: %v, want %v", err, context.DeadlineExceeded)
	}
	adopted, err := newDriver().Adopt(t.Context(), m.Ref())
	if err != nil {
		t.Fatalf("Adopt of a stopped machine: %v", err)
	}
	defer adopted.Close()
	if err := adopted.(vmm.Powered).Kill(t.Context()); err != nil {
		t.Errorf("Kill of a stopped machine: %v", err)
	}
	<-m.Done()
}

// QEMU serves one client at a time: the next waits for its turn, no longer than
// its context.
func TestMachine_SharesItsControlSocket(t *testing.T) {
	spec := newSpec(t)
	m := start(t, spec)
	dir, err := os.Open(spec.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	occupier, err := net.Dial("unix", "/proc/self/fd/"+strconv.Itoa(int(dir.Fd()))+"/qmp.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := occupier.Read(make([]byte, 1)); err != nil { // it has its turn
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := m.PowerDown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("PowerDown while another has its turn: %v, want %v", err, context.DeadlineExceeded)
	}
	delivered := make(chan error, 1)
	go func() { delivered <- m.PowerDown(t.Context()) }()
	occupier.Close()
	if err := <-delivered; err != nil {
		t.Errorf("PowerDown after the other has left: %v", err)
	}
}

// The port is not in the record of a starter that died before it learnt it.
func TestAdopt_AsksForThePortThatIsNotOnRecord(t *testing.T) {
	m := start(t, newSpec(t))
	var fields map[string]any
	if err := json.Unmarshal(m.Ref(), &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "ssh_port")
	ref, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := newDriver().Adopt(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	if got, want := adopted.Info(), m.Info(); got != want {
		t.Errorf("Info is %+v, want %+v", got, want)
	}
	if got, want := string(adopted.Ref()), string(m.Ref()); got != want {
		t.Errorf("Ref is %s, want %s", got, want)
	}
}
