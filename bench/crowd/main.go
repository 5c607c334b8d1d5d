// Command crowd is what BenchmarkCrowd measures: banger's own daemon with more
// VMs and sessions than a benchmark can start. It uses only what an older banger has too, so
// that it can be built in the working tree of one. The disks are real, with the directories
// of all sessions and with a journal to be replayed, as a crash leaves them. Stand-ins are
// the driver, the links, which nobody uses, and the images.
//
//	crowd seed DIR VMS SESSIONS    make a store with so many VMs, each with so many sessions, that run
//	crowd restart DIR              what a daemon does that finds these after its host has crashed
//	crowd end DIR                  what a daemon does when the machine of one VM dies
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
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/paths"
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
	switch args[0] {
	case "seed":
		return seed(ctx, p, args[2], args[3])
	case "restart":
		return restart(ctx, p)
	case "end":
		return end(ctx, p)
	case "wait":
		return wait(ctx, p)
	case "find":
		return find(ctx, p)
	}
	return fmt.Errorf("cannot %q", args[0])
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
