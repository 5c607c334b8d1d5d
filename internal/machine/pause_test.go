//go:build !unit

package machine_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/machine/inmem"
	"banger/internal/vmm"
	"banger/sessionstream"
)

// smallDisk mounts a file system of some MiB for the daemon's state.
func smallDisk(t *testing.T, mebibytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=700", mebibytes)); err != nil {
		t.Fatalf("cannot mount a small disk, for which root is needed: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room that a disk has.
func fill(t *testing.T, dir string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for size := len(block); size > 0; {
		if _, err := f.Write(block[:size]); err != nil {
			size /= 2
		}
	}
	return ballast
}

var diskFull = vmm.PauseStatus{Pause: vmm.PausedForStorage, Detail: "No space left on device"}

func TestPause_AVMForWhichTheDiskIsFullSaysSoAndContinuesByItself(t *testing.T) {
	disk := smallDisk(t, 420)
	h := hosttest.NewWith(t, bin, hosttest.Options{State: disk, Guest: func(g *inmem.Guest) {
		g.Continue = func(vmm.MachineSpec) bool { return freeIn(t, disk) > 0 }
	}})
	vm := h.StartVM("v")
	x, err := h.Sessions.StartSession(t.Context(), "v", banger.SessionRequest{Launch: banger.Launch{Command: "/bin/sleep", Args: []banger.ByteString{"1000"}}})
	if err != nil {
		t.Fatal(err)
	}
	ballast := fill(t, disk)
	h.Driver.Pause(vm.ID, diskFull)
	paused := waitState(t, h, "v", banger.VMPaused)
	if !strings.Contains(paused.LastError, "full") || !strings.Contains(paused.LastError, " MiB free") {
		t.Errorf("it says %q", paused.LastError)
	}

	// What is asked of its sessions is answered, not waited for.
	_, err = h.Sessions.StartSession(t.Context(), "v", banger.SessionRequest{Launch: banger.Launch{Command: "/bin/true"}})
	mustBePaused(t, "start session", err)
	_, err = h.Control.StopSession(t.Context(), "v", string(x.ID), banger.StopRequest{Kill: true})
	mustBePaused(t, "stop session", err)
	_, err = h.Client().Attach(t.Context(), "v", string(x.ID), sessionstream.Attach{Role: sessionstream.RoleViewer})
	if refused, ok := errors.AsType[*sessionstream.Error](err); !ok || refused.Code != sessionstream.CodePaused {
		t.Errorf("attach: %v", err)
	}
	_, err = h.VMs.StartVM(t.Context(), "v")
	mustBePaused(t, "start VM", err)
	_, err = h.VMs.SSHAccess(t.Context(), "v")
	mustBePaused(t, "ssh", err)
	// A stop that could lose something is refused, and changes nothing.
	_, err = h.VMs.StopVM(t.Context(), "v", banger.VMStopRequest{Grace: time.Minute})
	mustBePaused(t, "stop VM", err)
	if vm := get(t, h, "v"); vm.State != banger.VMPaused {
		t.Errorf("after a refused stop it is %s", vm.State)
	}
	// The next daemon knows it, too.
	h.Restart()
	waitState(t, h, "v", banger.VMPaused)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if vm := waitState(t, h, "v", banger.VMRunning); vm.LastError != "" {
		t.Errorf("it runs, and says %q", vm.LastError)
	}
	if _, err := h.Control.StopSession(t.Context(), "v", string(x.ID), banger.StopRequest{Kill: true}); err != nil {
		t.Errorf("its sessions cannot be reached: %v", err)
	}
}

func freeIn(t *testing.T, dir string) uint64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Error(err)
	}
	return fs.Bavail
}

func mustBePaused(t *testing.T, what string, err error) {
	t.Helper()
	if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "paused") {
		t.Errorf("%s: %v, want that it is paused", what, err)
	}
}

func TestPause_AVMThatItsUserPausedIsLeftAlone(t *testing.T) {
	var continued atomic.Int32
	h := hosttest.NewWith(t, bin, hosttest.Options{Guest: func(g *inmem.Guest) {
		g.Continue = func(vmm.MachineSpec) bool { continued.Add(1); return true }
	}})
	user, full := h.StartVM("user"), h.StartVM("full")
	h.Driver.Pause(user.ID, vmm.PauseStatus{Pause: vmm.PausedByUser})
	if vm := waitState(t, h, "user", banger.VMPaused); !strings.Contains(vm.LastError, "somebody") {
		t.Errorf("it says %q", vm.LastError)
	}
	h.Driver.Pause(full.ID, diskFull)
	for continued.Load() == 0 { // the other one is
		waitState(t, h, "full", banger.VMRunning)
	}
	if vm := get(t, h, "user"); vm.State != banger.VMPaused || continued.Load() != 1 {
		t.Errorf("it is %s, and %d were continued", vm.State, continued.Load())
	}
	// Who stops it wants it to shut down, for which it has to run.
	if vm, err := h.VMs.StopVM(t.Context(), "user", banger.VMStopRequest{Grace: time.Minute}); err != nil || vm.State != banger.VMStopped {
		t.Errorf("stop: %+v, %v", vm, err)
	}
}

func TestPause_AVMOnAFullDiskCanBeEndedAndDeleted(t *testing.T) {
	disk := smallDisk(t, 420)
	h := hosttest.NewWith(t, bin, hosttest.Options{State: disk, Guest: func(g *inmem.Guest) {
		g.Continue = func(vmm.MachineSpec) bool { return false }
	}})
	one, two := h.StartVM("one"), h.StartVM("two")
	fill(t, disk)
	h.Driver.Pause(one.ID, diskFull)
	h.Driver.Pause(two.ID, diskFull)
	waitState(t, h, "one", banger.VMPaused)
	waitState(t, h, "two", banger.VMPaused)
	if vm, err := h.VMs.StopVM(t.Context(), "one", banger.VMStopRequest{Kill: true}); err != nil || vm.State != banger.VMStopped {
		t.Errorf("stop without grace: %+v, %v", vm, err)
	}
	if err := h.VMs.DeleteVM(t.Context(), "two", true); err != nil {
		t.Errorf("delete: %v", err)
	}
	_, err := h.VMs.StartVM(t.Context(), "one")
	if banger.CodeOf(err) != banger.CodeMissing || !strings.Contains(err.Error(), "256 MiB") {
		t.Errorf("start: %v, want how much is needed", err)
	}
	_, err = h.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "three"})
	if banger.CodeOf(err) != banger.CodeMissing || !strings.Contains(err.Error(), "256 MiB") {
		t.Errorf("create: %v, want how much is needed", err)
	}
}
