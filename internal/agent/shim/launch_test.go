package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/shim"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
	"banger/test/wait"
)

func TestSession_ArgumentsAndEnvironmentArriveByteForByte(t *testing.T) {
	nasty := "a'b\"c\n$(reboot)`x`\\ \xff\xfe *"
	s := launch(t, func(l *shim.Launch) {
		l.Path = "/bin/sh"
		l.Argv = []banger.ByteString{"sh", "-c", `printf '%s\0' "$@"; cat /proc/$$/environ`, "sh", banger.ByteString(nasty), ""}
		l.Env = []banger.ByteString{banger.ByteString("V=" + nasty), "EMPTY="}
	})
	s.wait()
	if got, want := s.stdout(), nasty+"\x00\x00V="+nasty+"\x00EMPTY=\x00"; got != want {
		t.Errorf("the command got %q, not %q", got, want)
	}
}

// withoutOwnSignals clears signals 32 and 33 in the masks of a /proc/PID/status,
// which C libraries use inside: glibc's posix_spawn(3), and so make, leaves them
// ignored in its children.
func withoutOwnSignals(t *testing.T, status string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(status) {
		name, mask, ok := strings.Cut(strings.TrimSpace(line), ":\t")
		if !ok || !strings.HasPrefix(name, "Sig") {
			return status
		}
		bits, err := strconv.ParseUint(mask, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s:\t%016x\n", name, bits&^(1<<31|1<<32))
	}
	return out.String()
}

func TestSession_CommandGetsAFreshProcess(t *testing.T) {
	leak, err := unix.Open("/dev/null", unix.O_RDONLY, 0) // as who starts the shim may have
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	dir := t.TempDir()
	mask := syscall.Umask(0)
	syscall.Umask(mask)
	for name, c := range map[string]struct {
		argv []string
		want string // PID stands for the command's
	}{
		"working directory": {[]string{"/bin/pwd"}, dir + "\n"},
		"file mode mask":    {[]string{"/bin/sh", "-c", "umask"}, fmt.Sprintf("%04o\n", mask)},
		"signals": {[]string{"/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"},
			"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"},
		// 3 is the directory that ls reads.
		"open files": {[]string{"/bin/ls", "/proc/self/fd"}, "0\n1\n2\n3\n"},
		// It leads a process group and a session, which has no terminal.
		"process group": {[]string{"/usr/bin/cut", "-d", " ", "-f", "1,5,6,7", "/proc/self/stat"}, "PID PID PID 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := launch(t, func(l *shim.Launch) {
				l.Path, l.Argv, l.Cwd = banger.ByteString(c.argv[0]), banger.ByteStrings(c.argv), banger.ByteString(dir)
			})
			s.wait()
			want := strings.ReplaceAll(c.want, "PID", itoa(s.state.GuestPID))
			if got := withoutOwnSignals(t, s.stdout()); got != want {
				t.Errorf("the command found %q, not %q", got, want)
			}
		})
	}
}

func TestSession_AnotherUserOwnsItsStreams(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root can start a session of another user")
		return
	}
	for name, mode := range map[string]option{"pipe": withPipe, "tty": withTTY} {
		t.Run(name, func(t *testing.T) {
			s := sh(t, `id -u; id -g; id -G; echo again > /dev/stdout; : < /dev/stdin`, mode,
				func(l *shim.Launch) { l.UID, l.GID, l.Groups = 12345, 12346, []uint32{12346, 12347} })
			s.wait()
			got := strings.ReplaceAll(s.stdout(), "\r", "")
			if want := "12345\n12346\n12346 12347\nagain\n"; got != want {
				t.Errorf("the command wrote %q, not %q; stderr %q", got, want, s.stateOnDisk().LastError)
			}
		})
	}
}

// Whatever is ignored or blocked by whoever has started the shim, as by nohup.
func TestSession_TakesSignalsAsByDefault(t *testing.T) {
	for _, inherited := range []string{"--ignore-signal=HUP", "--ignore-signal", "--block-signal=TERM,USR1"} {
		t.Run(inherited, func(t *testing.T) {
			wrapper := filepath.Join(t.TempDir(), "shim.sh")
			script := "#!/bin/sh\nexec env " + inherited + " " + binaries.tested + "\n"
			if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			s, err := tryLaunch(t, wrapper, t.TempDir(), func(l *shim.Launch) {
				l.Path, l.Argv = "/bin/grep", []banger.ByteString{"grep", "^Sig[BI]", "/proc/self/status"}
			})
			if err != nil {
				t.Fatal(err)
			}
			s.wait()
			if got, want := s.stdout(), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"; got != want {
				t.Errorf("the command has\n%s", got)
			}
		})
	}
}

func TestSession_ClosedStdinIsAtItsEnd(t *testing.T) {
	s := sh(t, `cat; echo "read: $?"`)
	if s.state.StdinEOF != true {
		t.Error("the state does not say that stdin is closed")
	}
	s.wait()
	if got := s.stdout(); got != "read: 0\n" {
		t.Errorf("the command wrote %q", got)
	}
}

func TestSession_PathsMayBeLongerThanASocketsName(t *testing.T) {
	parent := filepath.Join(t.TempDir(), strings.Repeat("long/", 60))
	s, err := tryLaunch(t, binaries.tested, parent, func(l *shim.Launch) {
		l.Path, l.Argv, l.StdinMode = "/bin/cat", []banger.ByteString{"cat"}, banger.StdinPipe
	})
	if err != nil {
		t.Fatal(err)
	}
	s.mustSend(nil, "hello", true)
	if final := s.wait(); final.Status != banger.StatusExited || s.stdout() != "hello" {
		t.Errorf("ended as %+v with %q", final, s.stdout())
	}
}

func TestSession_SocketIsForItsOwnerOnly(t *testing.T) {
	s := sh(t, "read x", withPipe)
	info, err := os.Stat(filepath.Join(s.dir, sessiondir.SocketName))
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
}

func TestSession_ManyStartAtOnce(t *testing.T) {
	parent := t.TempDir()
	var starting sync.WaitGroup
	sessions := make([]*session, 30)
	for i := range sessions {
		starting.Go(func() {
			s, err := tryLaunch(t, binaries.tested, parent, func(l *shim.Launch) {
				l.Path, l.Argv = "/bin/echo", []banger.ByteString{"echo", banger.ByteString(itoa(i))}
			})
			if err != nil {
				t.Error(err)
				return
			}
			sessions[i] = s
		})
	}
	starting.Wait()
	for i, s := range sessions {
		if s == nil {
			continue
		}
		if final := s.wait(); final.Status != banger.StatusExited || s.stdout() != itoa(i)+"\n" {
			t.Errorf("session %d ended as %+v with %q", i, final, s.stdout())
		}
	}
}

func TestShim_DetachesFromWhoStartedIt(t *testing.T) {
	s := sh(t, "read x", withPipe)
	wait.For(t, "the shim to let go of its standard streams", func() bool {
		return !slices.ContainsFunc([]string{"0", "1", "2"}, func(fd string) bool {
			target, err := os.Readlink("/proc/" + itoa(s.child.PID()) + "/fd/" + fd)
			return err != nil || target != "/dev/null"
		})
	})
	cwd, err := os.Readlink("/proc/" + itoa(s.child.PID()) + "/cwd")
	if err != nil || cwd != "/" {
		t.Errorf("its working directory is %q, %v", cwd, err)
	}
	if sid, err := unix.Getsid(s.child.PID()); err != nil || sid != s.child.PID() {
		t.Errorf("its session is that of %d, %v", sid, err)
	}
	_ = syscall.Kill(s.child.PID(), syscall.SIGHUP)
	s.mustSend(nil, "", true) // it is still there
}

func TestShim_RefusesToRunByItself(t *testing.T) {
	out, err := exec.Command(binaries.tested).CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("banger-agent")) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestStandby_ReportsAShimThatCannotBegin(t *testing.T) {
	dir := t.TempDir()
	crash := filepath.Join(dir, "crash")
	if err := os.WriteFile(crash, []byte("#!/bin/sh\necho out of luck >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]string{
		crash:           "out of luck",
		"/no/such/shim": "no such file",
		binaries.tested: "cannot read file state.json", // of a directory that has none
	} {
		lock, err := os.Create(filepath.Join(dir, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		l := shim.Launch{Dir: dir, Path: "/bin/true", Argv: []banger.ByteString{"true"}, Cwd: "/"}
		_, child, err := spawn(t.Context(), binary, lock, l)
		lock.Close()
		if err == nil || child != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v and does not say %q", binary, err, want)
		}
	}
}

func TestStandby_ThatIsGivenUpLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	stuck := filepath.Join(dir, "stuck")
	if err := os.WriteFile(stuck, []byte("#!/bin/sh\necho $$ > "+dir+"/pid\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error)
	go func() {
		_, _, err := spawn(ctx, stuck, lock, shim.Launch{Dir: dir})
		failed <- err
	}()
	var pid []byte
	wait.For(t, "the shim to start", func() bool {
		pid, err = os.ReadFile(filepath.Join(dir, "pid"))
		return err == nil && bytes.HasSuffix(pid, []byte("\n"))
	})
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if alive(pids(t, string(pid))[0]) {
		t.Error("the shim lives")
	}
}

// standby starts a shim and returns it, and its pid, when it waits for its launch.
func standby(t *testing.T) (waiting *shimclient.Standby, pid int) {
	t.Helper()
	dir := t.TempDir()
	wrapper, file := filepath.Join(dir, "shim.sh"), filepath.Join(dir, "pid")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\necho $$ > "+file+"\nexec "+binaries.tested+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	waiting, err := shimclient.Start(wrapper, "")
	if err != nil {
		t.Fatal(err)
	}
	reads := fmt.Sprintf("%d %#x ", unix.SYS_RECVMSG, shim.SocketFD)
	wait.For(t, "the shim to wait", func() bool {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.HasSuffix(text, []byte("\n")) {
			return false
		}
		pid = pids(t, string(text))[0]
		call, err := os.ReadFile("/proc/" + itoa(pid) + "/syscall") // of its first thread; proc(5)
		return err == nil && bytes.HasPrefix(call, []byte(reads))
	})
	return waiting, pid
}

// A guest that shuts down waits for its shims: the one that has nothing to end yet
// must not keep it.
func TestStandby_EndsAtSIGTERM(t *testing.T) {
	waiting, pid := standby(t)
	defer waiting.Close()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "its end", func() bool { return !waiting.Alive() })
}

func TestStandby_SIGTERMEndsTheSessionWhoseLaunchIsOnItsWay(t *testing.T) {
	for name, signals := range map[string][]syscall.Signal{
		"before it is read":   {syscall.SIGTERM, syscall.SIGCONT}, // a stopped process gets both at once
		"before it has begun": {syscall.SIGCONT, syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			waiting, pid := standby(t)
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			wait.For(t, "the shim to stop", func() bool { return processState(pid) == "T" })
			dir, lock, err := sessiondir.Create(t.TempDir(), guestapi.GuestLaunch{ID: banger.NewSessionID(), CreatedAt: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			s := &session{t: t, dir: dir, ended: make(chan error, 1)}
			launched := make(chan error, 1)
			go func() {
				var err error
				s.state, s.child, err = waiting.Launch(t.Context(), lock, shim.Launch{
					Dir: dir, Path: "/bin/sleep", Argv: []banger.ByteString{"sleep", "1000"}, Cwd: "/", StdinMode: banger.StdinClosed,
					UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()),
				})
				launched <- err
			}()
			for i, signal := range signals {
				if i == 1 && signal == syscall.SIGTERM { // the socket is made just before the command
					wait.For(t, "the socket", func() bool {
						_, err := os.Stat(filepath.Join(dir, sessiondir.SocketName))
						return err == nil
					})
				}
				if err := syscall.Kill(pid, signal); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-launched; err != nil { // then nothing has begun, and Launch has reaped it
				if signals[0] != syscall.SIGTERM || alive(pid) {
					t.Errorf("%v; alive: %t", err, alive(pid))
				}
				return
			}
			go func() { s.ended <- s.child.Wait() }()
			t.Cleanup(s.clean)
			if final := s.wait(); final.EndedBy != banger.EndedByVMStopped {
				t.Errorf("%+v", final)
			}
		})
	}
}

// TestShim_LinksNothingHeavy keeps the memory of a session small.
func TestShim_LinksNothingHeavy(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "banger/cmd/banger-shim").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		own := path == "banger" || strings.HasPrefix(path, "banger/")
		if !own && path != "golang.org/x/sys/unix" {
			t.Errorf("the shim links %s", path)
		}
	}
	out, err = exec.Command("go", "list", "-deps", "banger/cmd/banger-shim").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		for _, heavy := range []string{"net/http", "crypto/tls", "regexp", "text/template", "log/slog", "os/exec"} {
			if path == heavy {
				t.Errorf("the shim links %s", path)
			}
		}
	}
}
