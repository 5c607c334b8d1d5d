// Command crowd is what BenchmarkCrowd measures: banger's own store and services with more
// VMs and sessions than a benchmark can start. It uses only what an older banger has too, so
// that it can be built in the working tree of one. Nothing in it is a stand-in but for the
// driver, whose machines have all ended, and the links, which nobody uses.
//
//	crowd seed DIR VMS SESSIONS    make a store with so many VMs, each with so many sessions, that run
//	crowd restart DIR              what a daemon does that finds these after its host has crashed
//	crowd wait DIR                 wait for all sessions of one VM, and have one end
//	crowd find DIR                 look up a session by its name
//
// It prints the nanoseconds that this took, and for restart both until clients are served
// and until all ends are recorded; then the bytes of memory that it has.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/guest"
	"banger/internal/image/ext4"
	"banger/internal/machine"
	"banger/internal/paths"
	"banger/internal/session"
	"banger/internal/store"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var p paths.Paths
	p.Config, p.Data, p.State = args[1], args[1], args[1]
	if err := os.MkdirAll(p.VMs(), 0o700); err != nil {
		return err
	}
	records, err := store.Open(ctx, p.Database())
	if err != nil {
		return err
	}
	defer records.Close()
	switch args[0] {
	case "seed":
		return seed(ctx, records, p, args[2], args[3])
	case "restart":
		return restart(ctx, records, p)
	case "wait":
		return wait(ctx, records, p)
	case "find":
		return find(ctx, records, p)
	}
	return fmt.Errorf("cannot %q", args[0])
}

func seed(ctx context.Context, records *store.Store, p paths.Paths, vms, sessions string) error {
	nVMs, err := strconv.Atoi(vms)
	if err != nil {
		return err
	}
	nSessions, err := strconv.Atoi(sessions)
	if err != nil {
		return err
	}
	for v := range nVMs {
		vm, err := records.CreateVM(ctx, banger.VM{ID: banger.NewVMID(), Name: fmt.Sprint("v", v), Driver: "qemu",
			State: banger.VMRunning, Machine: json.RawMessage(`{}`), ReadyAt: time.Now().UTC()})
		if err != nil {
			return err
		}
		if err := os.MkdirAll(p.VM(vm.ID), 0o700); err != nil {
			return err
		}
		if err := ext4.NewDisk(ctx, filepath.Join(p.VM(vm.ID), "work.img"), 64, "work"); err != nil {
			return err
		}
		for i := range nSessions {
			x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: fmt.Sprint("s", i), Launch: banger.Launch{
				Command: "make", Args: []banger.ByteString{"-j", "4", "all"}, Cwd: "/root/src", StdinMode: banger.StdinClosed,
				Env: map[string]banger.ByteString{"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"},
			}, Backend: "ssh", AttachBackend: "shim", AttachMode: "pipe", Attachable: true, Reattachable: true}
			x.GuestStateDir = "/root/.local/state/banger/sessions/" + string(x.ID)
			x.StdoutLogPath, x.StderrLogPath = x.GuestStateDir+"/stdout.log", x.GuestStateDir+"/stderr.log"
			x.Status, x.Sequence, x.StartedAt, x.GuestPID = banger.StatusRunning, 1, time.Now().UTC(), 1000+i
			if _, _, err := records.CreateSession(ctx, x, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone is a driver whose machines have ended with their host.
type gone struct{ banger.Driver }

func (gone) Adopt(context.Context, json.RawMessage) (banger.Machine, error) {
	return nil, banger.ErrMachineGone
}

// disks are the real ones.
type disks struct{ machine.Disks }

func (disks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, path, f)
}

func newSessions(ctx context.Context, records *store.Store, p paths.Paths) *session.Service {
	return session.New(ctx, records, guest.NewLinks(nil, slog.New(slog.DiscardHandler)), nil, filepath.Join(p.State, "attach"), slog.New(slog.DiscardHandler))
}

func restart(ctx context.Context, records *store.Store, p paths.Paths) error {
	began := time.Now()
	log := slog.New(slog.DiscardHandler)
	sessions := newSessions(ctx, records, p)
	defer sessions.Close()
	vms := machine.New(ctx, machine.Config{
		Store: records, Disks: disks{}, Driver: gone{}, Links: guest.NewLinks(nil, log), Sessions: sessions, Paths: p, Log: log,
	})
	defer vms.Close()
	if err := vms.Adopt(ctx); err != nil {
		return err
	}
	all, err := vms.ListVMs(ctx)
	if err != nil {
		return err
	}
	served := time.Since(began)
	for _, vm := range all {
		for vm.State == banger.VMRunning { // as whoever asks again; its lock would tell, too
			time.Sleep(time.Millisecond)
			if vm, err = vms.GetVM(ctx, string(vm.ID)); err != nil {
				return err
			}
		}
	}
	recorded := time.Since(began)
	left, err := records.ListSessions(ctx, "")
	if err != nil {
		return err
	}
	for _, x := range left {
		if x.EndedBy != banger.EndedByVMLost {
			return fmt.Errorf("session %s is %s", x.ID, x.Status)
		}
	}
	return result(served.Nanoseconds(), recorded.Nanoseconds())
}

// wait counts the processor's time too: what waiters cost whom nothing concerns.
func wait(ctx context.Context, records *store.Store, p paths.Paths) error {
	sessions := newSessions(ctx, records, p)
	defer sessions.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all, err := records.ListSessions(ctx, "")
	if err != nil {
		return err
	}
	ended := make(chan string, len(all))
	for _, x := range all {
		go func() {
			if _, err := sessions.WaitSession(ctx, string(x.VMID), string(x.ID)); err == nil {
				ended <- x.Name
			}
		}()
	}
	quiet()
	const events = 3
	var longest time.Duration
	before := processor()
	for _, x := range all[len(all)/2:][:events] {
		began := time.Now()
		if _, err := records.UpdateSession(ctx, x.ID, func(x *banger.Session) error {
			x.Status, x.Sequence = banger.StatusExited, 2
			return nil
		}); err != nil {
			return err
		}
		if name := <-ended; name != x.Name {
			return fmt.Errorf("who waits for %s is told first, not who waits for %s", name, x.Name)
		}
		longest = max(longest, time.Since(began))
		quiet()
	}
	return result(longest.Nanoseconds(), (processor()-before).Nanoseconds()/events)
}

func find(ctx context.Context, records *store.Store, p paths.Paths) error {
	sessions := newSessions(ctx, records, p)
	defer sessions.Close()
	if _, err := sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: "v0"}); err != nil {
		return err
	}
	const lookups = 20
	began := time.Now()
	for i := range lookups {
		if _, err := sessions.GetSession(ctx, "v0", fmt.Sprint("s", 100+i)); err != nil {
			return err
		}
	}
	took := time.Since(began) / lookups
	began = time.Now()
	list, err := sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: "v0"})
	if err != nil || len(list) == 0 {
		return fmt.Errorf("%d sessions, %w", len(list), err)
	}
	return result(took.Nanoseconds(), time.Since(began).Nanoseconds())
}

// result prints numbers and the memory that the process has.
func result(numbers ...int64) error {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kib int64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(append(numbers, kib<<10))
}

// processor returns the processor's time of this process.
func processor() time.Duration {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// quiet returns when the process has had nothing to do for a while.
func quiet() {
	for before := processor(); ; {
		time.Sleep(300 * time.Millisecond)
		now := processor()
		if now-before < 3*time.Millisecond {
			return
		}
		before = now
	}
}
