package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/hosttest"
	"banger/internal/image/ext4"
	"banger/internal/machine"
)

// The logs whose ends are read, and how often each is. All that is before the last
// lines of the large one may make them cost tailGoal times as much.
const (
	smallLog  = 4 << 20
	largeLog  = 4 << 30
	tailReads = 301
	tailGoal  = 1.5
)

// BenchmarkTail measures what the last 200 lines cost of a log that has 4 MiB, and of
// one that has 4 GiB: from running sessions, and from the disk of a stopped VM. The two
// sizes alternate.
//
// The guest is this host behind a real SSH server, with the real agent and shims, since
// an emulated one would write for half an hour. The disk is a real one.
func BenchmarkTail(b *testing.B) {
	guest := hosttest.Binaries{Agent: filepath.Join(string(bin), "banger-agent"), Shim: filepath.Join(string(bin), "banger-shim")}
	for b.Loop() {
		h := hosttest.NewWith(b, guest, hosttest.Options{Disks: func(d machine.Disks) machine.Disks { return workDisks{d} }})
		vm := h.StartVM("v")
		writeLog(b, h, "small", smallLog)
		writeLog(b, h, "large", largeLog)
		compareTails(b, h, "runs")
		stopVM(b, h, vm)
		compareTails(b, h, "stopped")
	}
}

// workDisks are read as the daemon reads them.
type workDisks struct{ machine.Disks }

func (workDisks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, path, f)
}

// writeLog starts a session that writes a number of bytes in lines to stdout, and then a
// word to stderr, and returns when they are in its logs. It runs on.
func writeLog(b *testing.B, h *hosttest.Host, name string, size int) {
	script := fmt.Sprintf("yes 'a line of a log as it may well be, of so many characters' | head -c %d; echo; echo written >&2; exec sleep 100000", size)
	c := h.Client()
	x, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: "sh", Args: []banger.ByteString{"-c", banger.ByteString(script)}, StdinMode: banger.StdinClosed, LogLimit: banger.NoLogLimit,
	}})
	if err != nil || x.Status != banger.StatusRunning {
		b.Fatalf("the session does not run: %v %+v", err, x.SessionState)
	}
	if _, err := c.MatchSession(b.Context(), "v", name, banger.MatchRequest{Pattern: "^written$", Stream: banger.StreamStderr}); err != nil {
		b.Fatal(err)
	}
}

// stopVM ends the sessions and their machine, and makes of their directories what a guest
// would have had as its work disk.
func stopVM(b *testing.B, h *hosttest.Host, vm banger.VM) {
	for _, name := range []string{"small", "large"} {
		if _, err := h.Client().StopSession(b.Context(), "v", name, banger.StopRequest{Kill: true}); err != nil {
			b.Fatal(err)
		}
	}
	_, err := h.VMs.StopVM(b.Context(), "v", banger.VMStopRequest{Kill: true})
	root := filepath.Join(h.SessionsDir(vm.ID), "..", "root")
	onDisk := filepath.Join(root, guestconfig.SessionsOnDisk)
	err = errors.Join(err, os.MkdirAll(filepath.Dir(onDisk), 0o700), os.Rename(h.SessionsDir(vm.ID), onDisk))
	if err != nil {
		b.Fatal(err)
	}
	mkfs := exec.Command("/usr/sbin/mkfs.ext4", "-q", "-F", "-d", root, filepath.Join(h.Paths.VM(vm.ID), "work.img"), "6G")
	if out, err := mkfs.CombinedOutput(); err != nil {
		b.Fatalf("cannot make the work disk (package e2fsprogs): %v\n%s", err, out)
	}
}

// compareTails reads both logs in turn. What has been written before is on the disk by
// then: it is the reading that counts.
func compareTails(b *testing.B, h *hosttest.Host, vm string) {
	unix.Sync()
	read := func(name string) contender {
		return contender{name: name, do: func(b *testing.B, _ int) time.Duration { return readTail(b, h, name) }}
	}
	m := &measure{Name: "Tail", Title: "The last lines of 4 MiB and of 4 GiB", Place: "host", Level: "vm=" + vm, Unit: "ns/op",
		Series: alternate(b, tailReads, read("small"), read("large"))}
	m.atMost("the end of 4 GiB against that of 4 MiB", m.of("large", 0.5), m.of("small", 0.5), tailGoal)
	m.record(b)
}

// readTail returns how long the last lines of a log take.
func readTail(b *testing.B, h *hosttest.Host, name string) time.Duration {
	var text strings.Builder
	began := time.Now()
	_, err := h.Client().ReadLogs(b.Context(), "v", name, banger.LogRequest{Lines: banger.DefaultLogLines}, func(c banger.LogChunk) error {
		text.Write(c.Data)
		return nil
	})
	took := time.Since(began)
	lines := strings.Count(text.String(), "\n")
	if err != nil || lines != banger.DefaultLogLines || !strings.Contains(text.String(), "written\n") {
		b.Fatalf("the log %s ends with %d lines of %d bytes: %v", name, lines, text.Len(), err)
	}
	return took
}
