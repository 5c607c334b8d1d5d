package sshd_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestExec_ReportsStatusAndKeepsStreamsApart(t *testing.T) {
	client := newServer(t).dial(t, "root")
	r := run(t, client, "echo out; echo err >&2; exit 3", nil, nil)
	if exitStatus(r.err) != 3 || r.stdout != "out\n" || r.stderr != "err\n" {
		t.Errorf("got %q, %q, %v", r.stdout, r.stderr, r.err)
	}
	if r := run(t, client, "true", nil, nil); r.err != nil {
		t.Errorf("true: %v", r.err)
	}
}

func TestExec_ReportsTheSignalThatEndedIt(t *testing.T) {
	r := run(t, newServer(t).dial(t, "root"), "kill -KILL $$", nil, nil)
	if exit, ok := errors.AsType[*ssh.ExitError](r.err); !ok || exit.Signal() != "KILL" {
		t.Errorf("got %v, want the signal KILL", r.err)
	}
}

func TestExec_DeliversSignalsToTheWholeGroup(t *testing.T) {
	client := newServer(t).dial(t, "root")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start("echo ready; sleep 300 | cat"); err != nil {
		t.Fatal(err)
	}
	readFull(out, make([]byte, len("ready\n")))
	if err := session.Signal(ssh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = session.Wait()
	if exit, ok := errors.AsType[*ssh.ExitError](err); !ok || exit.Signal() != "TERM" {
		t.Errorf("got %v, want the signal TERM", err)
	}
}

func TestExec_EveryByteArrivesAndEndOfFileIsReal(t *testing.T) {
	client := newServer(t).dial(t, "root")
	size := 8 << 20
	if testing.Short() {
		size = 3 << 20 // more than the window of a channel
	}
	data := make([]byte, size)
	source := rand.NewChaCha8([32]byte{1})
	if _, err := source.Read(data); err != nil {
		t.Fatal(err)
	}
	// The exit status must not overtake the last byte: cat exits at once after it.
	r := run(t, client, "cat", bytes.NewReader(data), nil)
	if r.err != nil || sha256.Sum256([]byte(r.stdout)) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back of %d, or others: %v", len(r.stdout), size, r.err)
	}
	r = run(t, client, "sha256sum", bytes.NewReader(data), nil)
	if want := fmt.Sprintf("%x  -\n", sha256.Sum256(data)); r.stdout != want {
		t.Errorf("the guest saw %q, want %q", r.stdout, want)
	}
}

// OpenSSH's client closes its channel when both directions have ended, and what comes
// after that is lost.
func TestExec_TheStatusComesBeforeTheEndOfOutput(t *testing.T) {
	channel, requests, err := newServer(t).dial(t, "root").OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	if ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"true"})); !ok || err != nil {
		t.Fatalf("the command is refused: %v", err)
	}
	if _, err := io.ReadAll(channel); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-requests:
		if r.Type != "exit-status" {
			t.Errorf("before the end of output comes %s", r.Type)
		}
	default:
		t.Error("output has ended, and the status is not there")
	}
}

func TestExec_ALeftOverThatHoldsStdoutDoesNotKeepTheChannel(t *testing.T) {
	client := newServer(t).dial(t, "root")
	dir := t.TempDir()
	r := run(t, client, fmt.Sprintf("sleep 300 & echo $! > %s/pid; echo done", dir), nil, nil)
	if r.err != nil || r.stdout != "done\n" {
		t.Errorf("got %q, %v", r.stdout, r.err)
	}
	if r := run(t, client, fmt.Sprintf("kill $(cat %s/pid)", dir), nil, nil); r.err != nil {
		t.Errorf("the left-over was gone: %v %s", r.err, r.stderr)
	}
}

func TestExec_AHelperThatOutlivesTheCommandIsStillHeard(t *testing.T) {
	r := run(t, newServer(t).dial(t, "root"), "(sleep 0.3; echo late) & echo early", nil, nil)
	if r.stdout != "early\nlate\n" || r.err != nil {
		t.Errorf("got %q, %v", r.stdout, r.err)
	}
}

func TestExec_ClientThatVanishesHangsUpTheCommand(t *testing.T) {
	s := newServer(t)
	client := s.dial(t, "root")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Every process of the command holds the fifo open; its end is theirs.
	path := filepath.Join(s.home, "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	if err := session.Start(fmt.Sprintf("exec 9>%s; echo ready; sleep 300 | cat", path)); err != nil {
		t.Fatal(err)
	}
	readFull(out, make([]byte, len("ready\n")))
	client.Close()
	if err := fifo.SetReadDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(fifo); err != nil {
		t.Errorf("the command runs on: %v", err)
	}
}

func TestExec_RunsAsTheUserWithALoginEnvironment(t *testing.T) {
	s := newServer(t)
	r := run(t, s.dial(t, "root"), "pwd; echo $HOME $USER $LOGNAME $SHELL; env | grep -c ^SSH_C", nil, nil)
	want := fmt.Sprintf("%s\n%s root root /bin/bash\n2\n", s.home, s.home)
	if r.stdout != want {
		t.Errorf("got %q, want %q", r.stdout, want)
	}
	r = run(t, s.dial(t, "other"), "id -u; id -g; id -G; pwd; echo $HOME", nil, nil)
	if os.Geteuid() == 0 {
		if want := "65534\n65534\n65534\n/\n/nonexistent\n"; r.stdout != want {
			t.Errorf("as another user: %q, want %q", r.stdout, want)
		}
	}
}

func TestExec_AShellThatIsMissingIsSaidSo(t *testing.T) {
	r := run(t, newServer(t).dial(t, "broken"), "true", nil, nil)
	if exitStatus(r.err) != 127 || !strings.Contains(r.stderr, "/no/such/shell") {
		t.Errorf("got %q, %v", r.stderr, r.err)
	}
}

func TestEnv_AcceptsLocaleOnly(t *testing.T) {
	client := newServer(t).dial(t, "root")
	r := run(t, client, `echo "$LC_ALL|$LD_PRELOAD"`, nil, func(s *ssh.Session) {
		if err := s.Setenv("LC_ALL", "C.UTF-8"); err != nil {
			t.Errorf("LC_ALL was refused: %v", err)
		}
		if err := s.Setenv("LD_PRELOAD", "/tmp/evil.so"); err == nil {
			t.Error("LD_PRELOAD was accepted")
		}
	})
	if r.stdout != "C.UTF-8|\n" {
		t.Errorf("the command saw %q", r.stdout)
	}
}

func TestSession_TakesOneCommandOnly(t *testing.T) {
	client := newServer(t).dial(t, "root")
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	command := ssh.Marshal(struct{ Command string }{"cat"})
	if ok, err := channel.SendRequest("exec", true, command); !ok || err != nil {
		t.Fatalf("the first: %v, %v", ok, err)
	}
	if ok, err := channel.SendRequest("exec", true, command); ok || err != nil {
		t.Fatalf("the second: %v, %v; want a refusal", ok, err)
	}
	if ok, err := channel.SendRequest("subsystem", true, ssh.Marshal(struct{ Name string }{"echo"})); ok || err != nil {
		t.Fatalf("the third: %v, %v; want a refusal", ok, err)
	}
}

func TestSubsystem_RunsItsProgramAndUnknownOnesAreRefused(t *testing.T) {
	client := newServer(t).dial(t, "root")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	in, err1 := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	if err := errors.Join(err1, err2, session.RequestSubsystem("echo")); err != nil {
		t.Fatal(err)
	}
	_, err1 = io.WriteString(in, "to and fro")
	if err := errors.Join(err1, in.Close()); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(out); err != nil || string(got) != "to and fro" {
		t.Errorf("got %q, %v", got, err)
	}
	unknown, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer unknown.Close()
	if err := unknown.RequestSubsystem("no-such"); err == nil {
		t.Error("an unknown subsystem was started")
	}
}

func TestSession_ManyChannelsOfOneConnectionDoNotDisturbOneAnother(t *testing.T) {
	client := newServer(t).dial(t, "root")
	// One whose client never reads must stall nobody else.
	stalled, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer stalled.Close()
	if _, err := stalled.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := stalled.Start("cat /dev/zero"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			in := strings.NewReader(strings.Repeat(fmt.Sprint(i), 100_000))
			r := run(t, client, fmt.Sprintf("cat; exit %d", i), in, nil)
			if exitStatus(r.err) != i || r.stdout != strings.Repeat(fmt.Sprint(i), 100_000) {
				t.Errorf("channel %d: %d bytes, %v", i, len(r.stdout), r.err)
			}
		})
	}
	all.Wait()
}

func TestTTY_HasSizeModesAndTerm(t *testing.T) {
	client := newServer(t).dial(t, "root")
	r := run(t, client, "stty size; stty -a | tr ' ;' '\n\n' | grep -x -e -echo -e -icrnl; echo $TERM; tty; test $SSH_TTY = $(tty)", nil, func(s *ssh.Session) {
		modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.ICRNL: 0, ssh.TTY_OP_ISPEED: 38400}
		if err := s.RequestPty("vt220", 33, 111, modes); err != nil {
			t.Fatal(err)
		}
	})
	want := "33 111\r\n-icrnl\r\n-echo\r\nvt220\r\n/dev/pts/"
	if !strings.HasPrefix(r.stdout, want) || r.err != nil {
		t.Errorf("got %q, want %q…; %v", r.stdout, want, r.err)
	}
}

func TestTTY_WindowChangeReachesTheCommand(t *testing.T) {
	client := newServer(t).dial(t, "root")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	if err := session.Start("trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"); err != nil {
		t.Fatal(err)
	}
	readFull(out, make([]byte, len("ready\r\n")))
	if err := session.WindowChange(50, 200); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out)
	if string(rest) != "50 200\r\n" {
		t.Errorf("the command saw %q", rest)
	}
}

func TestTTY_EndOfInputEndsAProgramThatReadsLines(t *testing.T) {
	r := run(t, newServer(t).dial(t, "root"), "stty -echo; cat; echo end", strings.NewReader("one\n"), func(s *ssh.Session) {
		if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
			t.Fatal(err)
		}
	})
	if r.err != nil || !strings.HasSuffix(r.stdout, "one\r\nend\r\n") {
		t.Errorf("got %q, %v", r.stdout, r.err)
	}
}

func TestShell_IsALoginShell(t *testing.T) {
	s := newServer(t)
	if err := os.WriteFile(filepath.Join(s.home, ".profile"), []byte("echo profile was read\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := s.dial(t, "root")
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var out bytes.Buffer
	session.Stdin, session.Stdout = strings.NewReader("echo $0; exit 4\n"), &out
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := session.Wait(); exitStatus(err) != 4 || !strings.Contains(out.String(), "profile was read\n-bash\n") {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
