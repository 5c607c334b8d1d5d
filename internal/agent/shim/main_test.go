package shim_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/process"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/programs"
	"banger/test/wait"
)

// patience bounds every wait of these tests; none takes nearly as long.
const patience = time.Minute

// binaries holds the shim as it is shipped, and the one most tests use: built
// with the race detector if they are, but with -short, since that doubles their cost.
var binaries struct{ plain, tested string }

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "shim-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := programs.Put(dir, programs.Shim); err != nil {
		return 0, err
	}
	binaries.plain = filepath.Join(dir, programs.Shim.Name())
	binaries.tested = binaries.plain
	if raceEnabled && !testing.Short() {
		race := filepath.Join(dir, "race")
		if err := os.Mkdir(race, 0o700); err != nil {
			return 0, err
		}
		if err := programs.Put(race, programs.RacingShim); err != nil {
			return 0, err
		}
		// A race fails a test by the shim's exit status. Without this variable
		// every process with the detector ends with a second of sleep.
		wrapper := "#!/bin/sh\nGORACE=atexit_sleep_ms=0 exec " + filepath.Join(race, programs.RacingShim.Name()) + "\n"
		binaries.tested = filepath.Join(dir, "shim-race.sh")
		if err := os.WriteFile(binaries.tested, []byte(wrapper), 0o755); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

// session is a running or ended shim.
type session struct {
	t     *testing.T
	dir   string
	state sessiondir.State // as reported
	child *shimclient.Child
	ended chan error // result of child.Wait
}

// option changes a launch.
type option func(*shim.Launch)

func withPipe(l *shim.Launch) { l.StdinMode = banger.StdinPipe }

func withTTY(l *shim.Launch) { l.StdinMode, l.TTY = banger.StdinPipe, true }

func withCgroup(root string) option { return func(l *shim.Launch) { l.CgroupRoot = root } }

// sh starts a shell script; its $1 and so on are args.
func sh(t *testing.T, script string, options ...option) *session {
	return launch(t, append([]option{func(l *shim.Launch) {
		l.Path = "/bin/sh"
		l.Argv = []banger.ByteString{"sh", "-c", banger.ByteString(script)}
	}}, options...)...)
}

// held is the beginning of a script that waits there, and leaves stdin alone, until
// goOn is called. A signal would be lost on a shell that has not come to wait for it.
func held(t *testing.T) (script string, goOn func()) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(gate, os.O_RDWR, 0) // does not wait for the shell
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return "read held < '" + gate + "'; ", func() {
		t.Helper()
		if _, err := fmt.Fprintln(f); err != nil {
			t.Fatal(err)
		}
	}
}

// launch starts a session that must be able to start or to fail on record.
func launch(t *testing.T, options ...option) *session {
	t.Helper()
	s, err := tryLaunch(t, binaries.tested, t.TempDir(), options...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryLaunch(t *testing.T, binary, parent string, options ...option) (*session, error) {
	t.Helper()
	dir, lock, err := sessiondir.Create(parent, guestapi.GuestLaunch{ID: banger.NewSessionID(), CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	l := shim.Launch{
		Dir: dir, Cwd: "/", StdinMode: banger.StdinClosed,
		Env: []banger.ByteString{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
	}
	for _, o := range options {
		o(&l)
	}
	s := &session{t: t, dir: dir, ended: make(chan error, 1)}
	s.state, s.child, err = spawn(t.Context(), binary, lock, l)
	if err != nil {
		return nil, err
	}
	go func() { s.ended <- s.child.Wait() }()
	t.Cleanup(s.clean)
	return s, nil
}

// spawn starts a shim and launches a session in it.
func spawn(ctx context.Context, binary string, lock *os.File, l shim.Launch) (sessiondir.State, *shimclient.Child, error) {
	process, err := shimclient.Start(binary, "")
	if err != nil {
		return sessiondir.State{}, nil, err
	}
	return process.Launch(ctx, lock, l)
}

// clean leaves no process behind, whatever a test did.
func (s *session) clean() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	wait.For(s.t, "the end of the session", func() bool {
		_ = shimclient.Stop(ctx, s.dir, banger.StopRequest{Kill: true}) // fails while there are too many connections
		select {
		case err := <-s.ended:
			if err != nil && strings.Contains(err.Error(), "exit status") {
				s.t.Error(err) // as a data race does
			}
			return true
		default:
			return false
		}
	})
}

// watch collects the states until the session's end.
func (s *session) watch() []banger.SessionState {
	s.t.Helper()
	conn, err := shimclient.Dial(s.t.Context(), s.dir)
	if err != nil {
		s.waitShim() // it has ended
		return []banger.SessionState{s.stateOnDisk().SessionState}
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var states []banger.SessionState
	err = conn.Watch(ctx, func(st banger.SessionState) { states = append(states, st) })
	if errors.Is(err, shimclient.ErrLost) && len(states) == 0 {
		s.waitShim() // it ended before it saw us
		return []banger.SessionState{s.stateOnDisk().SessionState}
	}
	if err != nil {
		s.t.Fatalf("after %d states: %v", len(states), err)
	}
	return states
}

// wait returns the final state, after the shim itself has ended well.
func (s *session) wait() banger.SessionState {
	s.t.Helper()
	states := s.watch()
	s.waitShim()
	final := states[len(states)-1]
	if disk := s.stateOnDisk().SessionState; disk.Sequence != final.Sequence || !disk.Status.Ended() {
		s.t.Fatalf("told %+v, but the disk has %+v", final, disk)
	}
	return final
}

func (s *session) waitShim() {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.ended <- nil // for whoever asks again
		if err != nil {
			s.t.Fatal(err)
		}
	case <-time.After(patience):
		s.t.Fatal("the shim does not end")
	}
}

func (s *session) stop(grace time.Duration) {
	s.t.Helper()
	if err := shimclient.Stop(s.t.Context(), s.dir, banger.StopRequest{Kill: grace == 0, Grace: grace, By: "test"}); err != nil {
		s.t.Fatal(err)
	}
}

// send feeds stdin as a writer of its own.
func (s *session) send(offset *int64, data string, eof bool) (banger.SendResult, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return s.feed(ctx, offset, data, eof)
}

func (s *session) feed(ctx context.Context, offset *int64, data string, eof bool) (banger.SendResult, error) {
	return sessionstream.Feed(ctx, s.config(sessionstream.Attach{Role: sessionstream.RoleWriter, NoOutput: true}), offset, strings.NewReader(data), eof)
}

// config is that of an attachment with an id of its own.
func (s *session) config(a sessionstream.Attach) sessionstream.Config {
	if a.AttachID == "" {
		a.AttachID = string(banger.NewSessionID())
	}
	return sessionstream.Config{Dial: s.dial, Attach: a, KeepLease: true}
}

func (s *session) dial(ctx context.Context) (net.Conn, error) {
	conn, err := shimclient.Connect(ctx, s.dir)
	if err != nil {
		return nil, err // a nil *net.UnixConn is not a nil net.Conn
	}
	return conn, nil
}

// codeOf returns the code of a refusal, "" if err is none.
func codeOf(err error) sessionstream.ErrorCode {
	if e, ok := errors.AsType[*sessionstream.Error](err); ok {
		return e.Code
	}
	return ""
}

func (s *session) mustSend(offset *int64, data string, eof bool) banger.SendResult {
	s.t.Helper()
	r, err := s.send(offset, data, eof)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *session) stateOnDisk() sessiondir.State {
	s.t.Helper()
	st, err := sessiondir.ReadState(os.DirFS(s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (s *session) log(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *session) stdout() string { s.t.Helper(); return s.log(sessiondir.StdoutName) }

// waitForOutput returns stdout once it contains text.
func (s *session) waitForOutput(text string) string {
	s.t.Helper()
	var out string
	wait.For(s.t, fmt.Sprintf("output %q", text), func() bool {
		out = s.stdout()
		return strings.Contains(out, text)
	})
	return out
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	state := processState(pid)
	return state != "" && state != "Z"
}

// processState is the letter of proc(5) for a process, or "" if there is none.
func processState(pid int) string {
	stat, err := process.ReadStat(pid)
	if err != nil {
		return ""
	}
	return stat.Field(3)
}

// pids reads process ids, one a line.
func pids(t *testing.T, text string) []int {
	t.Helper()
	var out []int
	for _, field := range strings.Fields(text) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatalf("%q is no pid", field)
		}
		out = append(out, pid)
	}
	return out
}

// cgroupRoot makes a cgroup (v2) for the sessions of a test.
func cgroupRoot(t *testing.T) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.controllers")); err != nil {
			continue
		}
		root, err := os.MkdirTemp(mount, "banger-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() {
			if err := os.Remove(root); err != nil {
				t.Errorf("something was left in the cgroup: %v", err)
			}
		})
		return root
	}
	return ""
}

// eachWay runs a test of processes without cgroups, and with them where this
// host lets us make one.
func eachWay(t *testing.T, test func(t *testing.T, way option)) {
	t.Run("tree", func(t *testing.T) { test(t, func(*shim.Launch) {}) })
	if root := cgroupRoot(t); root != "" {
		t.Run("cgroup", func(t *testing.T) { test(t, withCgroup(root)) })
	} else {
		t.Log("no cgroup (v2) can be made here: only the process tree is tested")
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func ptr[T any](v T) *T { return &v }

// pssKiB returns a process's proportional share of memory; proc(5).
func pssKiB(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open("/proc/" + itoa(pid) + "/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib
		}
	}
	t.Fatal("smaps_rollup has no Pss")
	return 0
}
