// Package installation gives tests a whole banger of their own: the real
// binaries, and a set of XDG directories that no other installation shares, but for
// the images, which are built once for all tests of a checkout.
package installation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/client"
	"banger/internal/paths"
	"banger/internal/process"
	"banger/internal/version"
	"banger/internal/vmm"
	"banger/test/programs"
	"banger/test/testimage"
	"banger/test/wait"
)

// Binaries is a directory with banger, banger-agent and banger-shim.
type Binaries string

// Put puts the binaries into dir, as they are released, or with the race detector in the one
// that runs on the host.
func Put(dir string, race bool) (Binaries, error) {
	host := programs.Host
	if race {
		host = programs.RacingHost
	}
	return Binaries(dir), programs.Put(dir, host, programs.Agent, programs.Shim)
}

// Main puts the binaries into a directory, hands them to set, runs the tests of a package and
// then closes what the tests shared. It returns the exit status.
func Main(m *testing.M, race bool, set func(Binaries), closeShared func() error) int {
	dir, err := os.MkdirTemp("", "banger-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin, err := Put(dir, race)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	set(bin)
	code := m.Run()
	if err := closeShared(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot clean up after the tests:", err)
		return 1
	}
	return code
}

// root is the directory of the checkout.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Installation is one set of XDG directories with the binaries.
type Installation struct {
	Bin Binaries
	Env []string // of every command: the process's own with the XDG variables set
	Dir string
	// User is who runs the commands, if it is not the one who runs the tests.
	User *syscall.Credential

	paths paths.Paths
}

// New makes an installation that is closed when the test ends.
func New(t testing.TB, bin Binaries) *Installation {
	t.Helper()
	i, err := Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("daemon log:\n%s", i.DaemonLog())
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

// Open makes an installation; the caller closes it.
func Open(bin Binaries) (*Installation, error) {
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		return nil, err
	}
	i := &Installation{Bin: bin, Dir: dir, Env: os.Environ()}
	i.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	i.Setenv("XDG_DATA_HOME", testimage.DataHome())
	i.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
	// Without it a program with the race detector sleeps a second before it ends.
	i.Setenv("GORACE", "atexit_sleep_ms=0")
	return i, nil
}

// Setenv sets a variable of the commands to come, and of a daemon that they start.
func (i *Installation) Setenv(name, value string) {
	i.Env = slices.DeleteFunc(i.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	i.Env = append(i.Env, name+"="+value)
	ours := filepath.Join(value, "banger")
	switch name {
	case "XDG_CONFIG_HOME":
		i.paths.Config = ours
	case "XDG_DATA_HOME":
		i.paths.Data = ours
	case "XDG_STATE_HOME":
		i.paths.State = ours
	}
}

// Close deletes the VMs, ends the daemon and removes the directories.
func (i *Installation) Close() error {
	var vms []banger.VM
	r, err := i.run(nil, "vm", "list", "--json")
	if err == nil {
		err = json.Unmarshal(r.Stdout, &vms)
	}
	if err != nil {
		return fmt.Errorf("cannot list VMs to delete them: %w\n%s", err, r)
	}
	for _, vm := range vms {
		if r, err := i.run(nil, "vm", "delete", "--force", string(vm.ID)); err != nil || r.Code != 0 {
			return fmt.Errorf("cannot delete VM %s: %w\n%s", vm.Name, err, r)
		}
	}
	if r, err := i.run(nil, "daemon", "stop"); err != nil || r.Code != 0 {
		return fmt.Errorf("cannot stop daemon: %w\n%s", err, r)
	}
	if log, err := os.ReadFile(i.paths.DaemonLog()); err == nil && bytes.Contains(log, []byte("DATA RACE")) {
		return fmt.Errorf("the daemon has a data race:\n%s", log)
	}
	return os.RemoveAll(i.Dir)
}

// DaemonLog returns the end of what the daemon logged.
func (i *Installation) DaemonLog() string {
	log, err := os.ReadFile(i.paths.DaemonLog())
	if err != nil {
		return err.Error()
	}
	return string(tail(log, 16<<10))
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// Paths are the directories of the installation.
func (i *Installation) Paths() paths.Paths { return i.paths }

// Client returns a client of the daemon, which must run already.
func (i *Installation) Client() *client.Client { return client.New(i.paths.Socket(), version.String()) }

// Result is what a command left behind.
type Result struct {
	Args           []string
	Stdout, Stderr []byte
	Code           int // exit status
}

func (r Result) String() string {
	return fmt.Sprintf("%q: exit status %d\nstdout: %s\nstderr: %s", r.Args, r.Code, tail(r.Stdout, 4<<10), tail(r.Stderr, 4<<10))
}

// commandLimit ends a command that hangs, so that its test fails and not the run.
const commandLimit = 5 * time.Minute

// Command returns an unstarted `banger args…` that is killed with ctx.
func (i *Installation) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(string(i.Bin), "banger"), args...)
	cmd.Env = i.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: i.User}
	return cmd
}

// Run runs `banger args…` to its end.
func (i *Installation) Run(t testing.TB, args ...string) Result {
	t.Helper()
	return i.Feed(t, nil, args...)
}

// Feed is Run with a standard input.
func (i *Installation) Feed(t testing.TB, stdin io.Reader, args ...string) Result {
	t.Helper()
	r, err := i.run(stdin, args...)
	if err != nil {
		t.Fatalf("cannot run banger: %v\n%s", err, r)
	}
	return r
}

func (i *Installation) run(stdin io.Reader, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := i.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	return Result{Args: args, Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: cmd.ProcessState.ExitCode()}, err
}

// MustRun is Run for commands that have to succeed; it returns their output.
func (i *Installation) MustRun(t testing.TB, args ...string) string {
	t.Helper()
	r := i.Run(t, args...)
	if r.Code != 0 {
		t.Fatalf("command failed: %s", r)
	}
	return string(r.Stdout)
}

// JSON runs a command with --json and decodes what it prints.
func JSON[T any](t testing.TB, i *Installation, args ...string) T {
	t.Helper()
	var v T
	// Behind "--" it would belong to the guest's command.
	out := i.MustRun(t, append(args[:len(args):len(args)], "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("cannot decode what banger %q printed: %v\n%s", args, err, out)
	}
	return v
}

// Image makes sure that the default image is there, with what the tests use in it.
func (i *Installation) Image(t testing.TB) {
	t.Helper()
	if _, err := testimage.Files(t.Context()); err != nil {
		t.Fatal(err)
	}
	args := []string{"image", "build"}
	for _, p := range testimage.Recipe().Include {
		args = append(args, "--include", p)
	}
	i.MustRun(t, args...)
}

// StartVM makes and starts a VM of the default image.
func (i *Installation) StartVM(t testing.TB, name string, flags ...string) banger.VM {
	t.Helper()
	i.Image(t)
	i.MustRun(t, append([]string{"vm", "create", name}, flags...)...)
	i.MustRun(t, "vm", "start", name)
	return JSON[banger.VM](t, i, "vm", "show", name)
}

// DaemonPID returns the pid of the running daemon.
func (i *Installation) DaemonPID(t testing.TB) int {
	t.Helper()
	return JSON[banger.DaemonInfo](t, i, "daemon", "status").PID
}

// KillDaemon kills the daemon with SIGKILL and waits until it is gone.
func (i *Installation) KillDaemon(t testing.TB) {
	t.Helper()
	Kill(t, i.DaemonPID(t))
}

// Kill kills a process with SIGKILL and waits until it is gone.
func Kill(t testing.TB, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	wait.Gone(t, p)
}

// KillMachine kills the QEMU process of a VM with SIGKILL and waits until it is gone.
func (i *Installation) KillMachine(t testing.TB, vm banger.VM) {
	t.Helper()
	var ref struct {
		Process process.Identity `json:"process"`
	}
	data, err := os.ReadFile(filepath.Join(i.paths.VM(vm.ID), vmm.MachineRefName))
	if err == nil {
		err = json.Unmarshal(data, &ref)
	}
	if err != nil || !ref.Process.Alive() {
		t.Fatalf("cannot find machine of VM %s: %v", vm.Name, err)
	}
	Kill(t, ref.Process.PID)
}

// Follow starts a command that prints JSON for as long as the test runs, and
// returns what decodes it.
func (i *Installation) Follow(t testing.TB, args ...string) *json.Decoder {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	cmd := i.Command(ctx, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return json.NewDecoder(out)
}
