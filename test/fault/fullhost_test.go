package fault

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// A VM whose disks are on a small file system of the host, and whose work disk is small, too.
func TestFault_AVMLosesNothingToFullDisks(t *testing.T) {
	disk, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(disk) })
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=512m,mode=700"); err != nil {
		t.Fatalf("cannot mount a small file system (this test needs root): %v", err)
	}
	t.Cleanup(func() { // after the installation has gone
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	i := installation.New(t, bin)
	i.Setenv("XDG_STATE_HOME", disk)
	i.StartVM(t, "v", "--work-disk", "64M")
	t.Run("a full host pauses it and nothing of it is lost", func(t *testing.T) { fillHost(t, i, disk) })
	t.Run("its own full disk takes no session and no exit", func(t *testing.T) { fillGuest(t, i) }) // and stops it
}

// The host's disk is full while a session of a VM writes: the VM is paused and says why,
// calls are answered, the daemon may die, another VM can be deleted. When there is room
// it continues by itself, and what the session wrote is what it wrote.
func fillHost(t *testing.T, i *installation.Installation, disk string) {
	i.MustRun(t, "vm", "create", "spare")
	c := i.Client()

	const lines, room = 900_000, 4 << 20 // the lines are more than there is room for
	ballast := filepath.Join(disk, "ballast")
	fillAllBut(t, ballast, room)
	x, err := c.StartSession(t.Context(), "v", banger.SessionRequest{Name: "writer", Launch: banger.Launch{
		Command: "seq", Args: banger.ByteStrings([]string{"1", strconv.Itoa(lines)}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	paused := awaitVM(t, i, banger.VMPaused)
	if !strings.Contains(paused.LastError, "full") {
		t.Errorf("it says %q", paused.LastError)
	}
	_, err = c.StopSession(t.Context(), "v", string(x.ID), banger.StopRequest{Kill: true})
	if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "paused") {
		t.Errorf("stop of a session: %v", err)
	}
	i.KillDaemon(t)
	i.MustRun(t, "vm", "delete", "spare")
	if vm := awaitVM(t, i, banger.VMPaused); vm.LastError == "" {
		t.Error("the next daemon gives no reason")
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	awaitVM(t, i, banger.VMRunning)
	end, err := c.WaitSession(t.Context(), "v", string(x.ID))
	if err != nil || end.ExitCode == nil || *end.ExitCode != 0 {
		t.Fatalf("the session ended as %+v, %v", end.SessionState, err)
	}
	var want, got bytes.Buffer
	for n := 1; n <= lines; n++ {
		fmt.Fprintln(&want, n)
	}
	_, err = c.ReadLogs(t.Context(), "v", string(x.ID), banger.LogRequest{Cursor: &banger.LogCursor{}}, func(chunk banger.LogChunk) error {
		if chunk.Gap > 0 {
			t.Errorf("%d bytes are missing at %d: %s", chunk.Gap, chunk.Offset, chunk.Reason)
		}
		got.Write(chunk.Data)
		return nil
	})
	if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("%d bytes came of %d, or others; %v", got.Len(), want.Len(), err)
	}
	if err := c.RemoveSession(t.Context(), "v", string(x.ID), false); err != nil {
		t.Error(err)
	}
}

// fillAllBut writes a file that leaves so much of its disk.
func fillAllBut(t *testing.T, path string, leave int64) {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-leave); err != nil {
		t.Fatal(err)
	}
}

// awaitVM waits until the VM v has a state.
func awaitVM(t *testing.T, i *installation.Installation, state banger.VMState) (vm banger.VM) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	wait.For(t, "v to be "+string(state), func() bool {
		var err error
		if vm, err = i.Client().GetVM(ctx, "v"); err != nil {
			t.Fatal(err)
		}
		return vm.State == state
	})
	return vm
}
