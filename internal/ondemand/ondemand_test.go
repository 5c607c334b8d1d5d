package ondemand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/filelock"
	"banger/internal/paths"
)

// This test binary is the daemon too, if its first argument says how to behave.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "daemon-") {
		beDaemon(os.Args[1], os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

// beDaemon serves one installation: every connection is told the pid. The first
// byte that a client sends ends it.
func beDaemon(mode, socket string) {
	report := os.NewFile(3, "ready")
	switch mode {
	case "daemon-refusing":
		fmt.Fprintln(report, `{"code":"corrupt","message":"cannot open store: it is broken","hint":"put back the backup"}`)
		os.Exit(1)
	case "daemon-crashing":
		fmt.Fprintln(os.Stderr, "panic: out of cheese")
		os.Exit(2)
	}
	lock, err := filelock.Take(filepath.Join(filepath.Dir(filepath.Dir(socket)), "daemon.lock"), "")
	defer runtime.KeepAlive(lock)
	if err != nil {
		fmt.Fprintln(report, `{"code":"already_exists","message":"cannot start daemon: one runs already"}`)
		os.Exit(1)
	}
	os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	started, err := os.OpenFile(socket+".started", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(started, os.Getpid())
	cwd, _ := os.Getwd()
	fmt.Fprintln(os.Stderr, "serving in", cwd)
	report.Close()
	for {
		conn, err := l.Accept()
		if err != nil {
			os.Exit(0)
		}
		go func() {
			fmt.Fprintln(conn, os.Getpid())
			if n, _ := conn.Read(make([]byte, 1)); n == 1 {
				l.Close() // removes the socket, as a daemon does that was told to stop
			}
		}()
	}
}

func testPaths(t *testing.T) paths.Paths {
	t.Helper()
	dir, err := os.MkdirTemp("", "od") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	p := paths.Paths{Config: dir + "/c", Data: dir + "/d", State: dir + "/s"}
	t.Cleanup(func() {
		for _, pid := range startedPIDs(t, p) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		os.RemoveAll(dir)
	})
	return p
}

func newTestLauncher(t *testing.T, p paths.Paths, mode string) *Launcher {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(p, []string{self, mode, p.Socket()}, nil)
}

// startedPIDs are all daemons that ever served p.
func startedPIDs(t *testing.T, p paths.Paths) []int {
	t.Helper()
	data, err := os.ReadFile(p.Socket() + ".started")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var pids []int
	for word := range strings.FieldsSeq(string(data)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// served dials and returns the pid of the daemon that answered. With end it then
// tells the daemon to stop and waits until it has.
func served(t *testing.T, l *Launcher, end bool) int {
	t.Helper()
	conn, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var pid int
	if _, err := fmt.Fscan(conn, &pid); err != nil {
		t.Fatal(err)
	}
	if end {
		if _, err := conn.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := l.WaitStopped(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return pid
}

func TestDial_StartsADaemonThatStandsOnItsOwn(t *testing.T) {
	p := testPaths(t)
	pid := served(t, newTestLauncher(t, p, "daemon-ok"), false)
	if sid, err := sessionOf(pid); err != nil || sid != pid {
		t.Errorf("the daemon %d is in session %d (%v), want its own", pid, sid, err)
	}
	log, err := os.ReadFile(p.DaemonLog())
	if err != nil || string(log) != "serving in /\n" {
		t.Errorf("log %q (%v)", log, err)
	}
	if again := served(t, newTestLauncher(t, p, "daemon-ok"), false); again != pid {
		t.Errorf("a second launcher reached %d, want %d", again, pid)
	}
}

func sessionOf(pid int) (int, error) {
	sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func TestDial_ManyAtOnceStartOneDaemon(t *testing.T) {
	p := testPaths(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			conn, err := newTestLauncher(t, p, "daemon-ok").Dial(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	if pids := startedPIDs(t, p); len(pids) != 1 {
		t.Errorf("daemons %v were started, want one", pids)
	}
}

func TestDial_ReplacesADaemonThatDiedButNotOneThatWasStopped(t *testing.T) {
	p := testPaths(t)
	l := newTestLauncher(t, p, "daemon-ok")
	first := served(t, l, false)
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitStopped(t.Context()); err != nil {
		t.Fatal(err)
	}
	if second := served(t, l, true); second == first {
		t.Fatalf("pid %d answered after its death", first)
	}
	_, err := l.Dial(t.Context())
	if banger.CodeOf(err) != banger.CodeUnavailable || len(startedPIDs(t, p)) != 2 {
		t.Errorf("after a stop: %v, daemons %v", err, startedPIDs(t, p))
	}
	served(t, newTestLauncher(t, p, "daemon-ok"), false) // a new command starts one again
}

func TestDialRunning_NeverStartsADaemon(t *testing.T) {
	p := testPaths(t)
	_, err := newTestLauncher(t, p, "daemon-ok").DialRunning(t.Context())
	if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "none is running") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(p.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state was touched: %v", err)
	}
}

func TestDial_AFailedStartShowsTheDaemonsOwnError(t *testing.T) {
	_, err := newTestLauncher(t, testPaths(t), "daemon-refusing").Dial(t.Context())
	e, ok := errors.AsType[*banger.Error](err)
	if !ok || e.Code != banger.CodeCorrupt || e.Hint != "put back the backup" ||
		e.Message != "cannot start daemon: cannot open store: it is broken" {
		t.Errorf("error %#v", err)
	}
}

func TestDial_ACrashShowsTheEndOfTheLog(t *testing.T) {
	p := testPaths(t)
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.DaemonLog(), []byte("an older line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := newTestLauncher(t, p, "daemon-crashing").Dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.HasSuffix(err.Error(), ":\npanic: out of cheese") {
		t.Errorf("error %v", err)
	}
}

func TestDial_WaitsForADaemonThatIsComingUp(t *testing.T) {
	p := testPaths(t)
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	lock, err := filelock.Take(p.DaemonLock(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	dialled := make(chan error, 1)
	go func() {
		conn, err := newTestLauncher(t, p, "daemon-ok").Dial(t.Context())
		if err == nil {
			conn.Close()
		}
		dialled <- err
	}()
	listener, err := net.Listen("unix", p.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := <-dialled; err != nil || len(startedPIDs(t, p)) != 0 {
		t.Errorf("error %v, daemons %v", err, startedPIDs(t, p))
	}
}

func TestDial_ADaemonThatHangsIsNamedByItsPID(t *testing.T) {
	p := testPaths(t)
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	lock, err := filelock.Take(p.DaemonLock(), "4711\n")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = newTestLauncher(t, p, "daemon-ok").Dial(ctx)
	if err == nil || !strings.Contains(err.Error(), "pid 4711") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// A shell that waits for its children's output must not wait for the daemon.
func TestDial_TheDaemonHoldsNoneOfTheCallersFiles(t *testing.T) {
	p := testPaths(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestHelper_DialAndExit$")
	cmd.Env = append(os.Environ(), "BANGER_TEST_DIR="+filepath.Dir(p.State))
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil || len(startedPIDs(t, p)) != 1 {
		t.Errorf("error %v, daemons %v", err, startedPIDs(t, p))
	}
}

// TestHelper_DialAndExit is the short-lived command of the test above.
func TestHelper_DialAndExit(t *testing.T) {
	dir := os.Getenv("BANGER_TEST_DIR")
	if dir == "" {
		return
	}
	p := paths.Paths{Config: dir + "/c", Data: dir + "/d", State: dir + "/s"}
	served(t, newTestLauncher(t, p, "daemon-ok"), false)
}
