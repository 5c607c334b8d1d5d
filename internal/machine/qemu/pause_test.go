//go:build !unit

package qemu_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/vmm"
)

// follow returns what a machine's handle gets of its pauses.
func follow(t *testing.T, m vmm.Machine) <-chan vmm.PauseStatus {
	t.Helper()
	told := make(chan vmm.PauseStatus, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- m.(vmm.PausingMachine).FollowPauses(ctx, func(s vmm.PauseStatus) { told <- s })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return told
}

// answer is that of a guest to an order.
type answer struct {
	text string
	err  error
}

// nextPause returns the next status. If the order is answered instead, or nothing is
// reported within bootTimeout, the test fails.
func nextPause(t *testing.T, told <-chan vmm.PauseStatus, answered <-chan answer) vmm.PauseStatus {
	t.Helper()
	select {
	case s := <-told:
		return s
	case a := <-answered:
		t.Fatalf("the guest has answered %q, %v, before the disk had room", a.text, a.err)
	case <-time.After(bootTimeout):
		t.Fatal("no pause is reported")
	}
	return vmm.PauseStatus{}
}

func TestMachine_ThatFillsTheHostsDiskIsPausedAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("cannot mount a small disk, for which root is needed: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	disk := vmm.MachineDisk{Path: filepath.Join(dir, "disk"), Name: "disk"}
	ballast := filepath.Join(dir, "ballast")
	for path, size := range map[string]int64{disk.Path: 16 << 20, ballast: 0} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	spec := newSpec(t)
	spec.Disks = []vmm.MachineDisk{disk}
	m := start(t, spec)
	pausing := m.(vmm.PausingMachine)
	told := follow(t, m)
	if s := nextPause(t, told, nil); s.Pause != vmm.NotPaused {
		t.Errorf("at first: %+v", s)
	}
	waitReady(t, m)

	if err := os.WriteFile(ballast, bytes.Repeat([]byte("x"), 2<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	written := make(chan answer, 1)
	go func() {
		text, err := tryOrder(t.Context(), m, "write", "banger-disk", "precious")
		written <- answer{text, err}
	}()
	if s := nextPause(t, told, written); s.Pause != vmm.PausedForStorage || !strings.Contains(s.Detail, "No space left") {
		t.Errorf("on the full disk: %+v", s)
	}
	// Who comes now learns it as well. One continues it only from the pause that it means.
	adopted, err := newDriver().Adopt(t.Context(), m.Ref())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { adopted.Close() })
	if err := pausing.Continue(t.Context(), vmm.PausedByUser); err != nil {
		t.Error(err)
	}
	// Continued too early, it pauses again.
	if err := pausing.Continue(t.Context(), vmm.PausedForStorage); err != nil {
		t.Error(err)
	}
	for nextPause(t, told, written).Pause != vmm.PausedForStorage {
	}
	select {
	case got := <-written:
		t.Fatalf("the guest was told of a write that did not happen: %q, %v", got.text, got.err)
	default:
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := adopted.(vmm.PausingMachine).Continue(t.Context(), vmm.PausedForStorage); err != nil {
		t.Error(err)
	}
	if got := <-written; got.text != "" || got.err != nil {
		t.Errorf("the write in flight: %q, %v", got.text, got.err)
	}
	data, err := os.ReadFile(disk.Path)
	if err != nil || !strings.HasPrefix(string(data), "precious") {
		t.Errorf("the disk begins with %q, %v", data[:8], err)
	}
}
