// Package fault tests what banger promises when its daemon is killed (SIGKILL)
// in the middle of something: with the real binaries and real machines.
package fault

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	"banger"
	"banger/test/installation"
)

// bin holds the binaries under test; TestMain sets it once.
var bin installation.Binaries

// shared is an installation with the VM "v".
var shared = installation.Shared{Prepare: func(i *installation.Installation) error {
	i.Setenv("XDG_RUNTIME_DIR", runtimeDir(i))
	return os.Mkdir(runtimeDir(i), 0o700)
}}

// runtimeDir is what the shared installation has as XDG_RUNTIME_DIR.
func runtimeDir(i *installation.Installation) string { return filepath.Join(i.Dir, "runtime") }

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := runRole(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // those that are parallel wait most of the time
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(installation.Main(m, true, func(b installation.Binaries) { bin = b }, shared.Close))
}

// buildWorkload builds the program of package workload for every place: static, and without
// the race detector, for which slow machines have no time.
func buildWorkload() (path string, err error) {
	path = filepath.Join(string(bin), "workload")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "banger/test/fault/workload/run")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the workload: %w\n%s", err, out)
	}
	return path, nil
}

var workloadOnce = sync.OnceValues(buildWorkload) //nolint:gochecknoglobals // built once for all tests

// workloadProgram is the path of that program on this host.
func workloadProgram(t *testing.T) string {
	t.Helper()
	path, err := workloadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// background is a command that runs while its daemon dies.
type background struct {
	*exec.Cmd
	output bytes.Buffer
}

// begin starts a command.
func begin(t *testing.T, i *installation.Installation, args ...string) *background {
	t.Helper()
	b := &background{Cmd: i.Command(t.Context(), args...)}
	b.Stdout, b.Stderr = &b.output, &b.output
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	return b
}

// end waits for the command, which must have done its work or say that it
// cannot tell.
func (b *background) end(t *testing.T) (done bool) {
	t.Helper()
	_ = b.Wait()
	switch code := b.ProcessState.ExitCode(); code {
	case 0:
		return true
	case 125:
		return false
	default:
		t.Errorf("%q ended with %d: %s", b.Args[1:], code, &b.output)
		return false
	}
}

// events follows what happens from now on.
func events(t *testing.T, i *installation.Installation) *json.Decoder {
	t.Helper()
	since := installation.JSON[banger.DaemonInfo](t, i, "daemon", "status").Revision
	return i.Follow(t, "events", "--json", "--since", strconv.FormatInt(since, 10))
}

// await reads events until one of a VM is as wanted.
func await(t *testing.T, events *json.Decoder, wanted func(banger.VM) bool) {
	t.Helper()
	for {
		var e banger.Event
		if err := events.Decode(&e); err != nil {
			t.Fatalf("the events ended: %v", err)
		}
		if e.VM != nil && wanted(*e.VM) {
			return
		}
	}
}

func show(t *testing.T, i *installation.Installation, vm string) banger.VM {
	t.Helper()
	return installation.JSON[banger.VM](t, i, "vm", "show", vm)
}

// machines returns the processes that are, or are about to become, machines of a VM.
func machines(t *testing.T, id banger.VMID) []int {
	t.Helper()
	return installation.Processes(t, "cmdline", "banger-"+string(id)+"-")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
