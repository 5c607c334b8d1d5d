//go:build !unit

package sshhost_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/sshhost"
)

// through is a user who may log in to several servers.
func through(t *testing.T, servers int) (*visitor, []*server) {
	t.Helper()
	u := newUser(t)
	key := u.key(t, "id_ed25519")
	all := make([]*server, servers)
	for i := range all {
		all[i] = newServer(t, nil)
		all[i].authorize(t, key)
	}
	return u, all
}

func TestRoute_ProxyJump(t *testing.T) {
	t.Parallel()
	u, s := through(t, 3)
	u.knows(t, s...)
	for name, way := range map[string]struct {
		blocks        []string
		first, second bool // whether it goes there
	}{
		"one":             {[]string{s[0].block("box", "ProxyJump first"), s[1].block("first")}, true, false},
		"two in a list":   {[]string{s[0].block("box", "ProxyJump first,second"), s[1].block("first"), s[2].block("second", "ProxyJump nowhere.invalid")}, true, true},
		"one behind one":  {[]string{s[0].block("box", "ProxyJump second"), s[1].block("first"), s[2].block("second", "ProxyJump first")}, true, true},
		"by address":      {[]string{s[0].block("box", "ProxyJump root@127.0.0.1:"+s[1].port+",ssh://root@127.0.0.1:"+s[2].port)}, true, true},
		"none for a host": {[]string{s[0].block("box", "ProxyJump none"), "Host *\n ProxyJump nowhere.invalid"}, false, false},
	} {
		u.configure(t, way.blocks...)
		before := [3]int{s[0].connections(), s[1].connections(), s[2].connections()}
		u.wantIn(t, "box", none())
		if s[0].connections() != before[0]+1 {
			t.Errorf("%s: %d connections to the host", name, s[0].connections()-before[0])
		}
		if first, second := s[1].connections() > before[1], s[2].connections() > before[2]; first != way.first || second != way.second {
			t.Errorf("%s: through the first: %v, the second: %v", name, first, second)
		}
	}
}

func TestRoute_EveryHostOnTheWayIsChecked(t *testing.T) {
	t.Parallel()
	u, s := through(t, 2)
	u.configure(t, s[0].block("box", "ProxyJump first"), s[1].block("first"))
	var answers sshhost.Answers
	for _, on := range []*server{s[1], s[0]} {
		q := u.wantAsked(t, "box", answers)
		if want := "[127.0.0.1]:" + on.port; q.Kind != sshhost.AskHostKey || q.Subject != want {
			t.Fatalf("asked %+v, want %s", q, want)
		}
		answers.HostKeys = append(answers.HostKeys, q.Fingerprint)
	}
	u.wantIn(t, "box", answers)
	u.wantIn(t, "box", none())
	writeFile(t, u.knownHosts(), s[0].knownLine(t, s[0].hostKeys["ed25519"])+s[1].knownLine(t, u.file("id_ed25519")))
	u.wantRefused(t, "box", answers, banger.CodeInvalid, "has changed", s[1].port)
}

func TestRoute_LoopsAreRefused(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.configure(t, "Host a\n ProxyJump b", "Host b\n ProxyJump a")
	u.wantRefused(t, "a", none(), banger.CodeInvalid, "more than")
}

func TestRoute_UnreachableBehindAJump(t *testing.T) {
	t.Parallel()
	u, s := through(t, 1)
	u.knows(t, s...)
	u.configure(t, "Host box\n HostName 127.0.0.1\n Port "+closedPort(t)+"\n ProxyJump first", s[0].block("first"))
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, "box", "through first")
}

// closedPort is one on which nobody listens: it is kept by a socket that does not.
func closedPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}

// The command is started as ssh does it, and neither it nor what it has started is
// left when the connection is closed.
func TestRoute_ProxyCommandEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	u, s := through(t, 1)
	u.knows(t, s...)
	pids := filepath.Join(u.home, "pids")
	command := fmt.Sprintf(`ProxyCommand sh -c 'sleep 1000 & echo $! $$ %%n >"%s"; trap "" HUP; exec nc "%%h" %%p'`, pids)
	u.configure(t, s[0].block("box", command))
	client, err := u.dial(t, "box", none())
	if err != nil {
		t.Fatal(err)
	}
	wantCommand(t, client)
	fields := strings.Fields(readFile(t, pids))
	if len(fields) != 3 || fields[2] != "box" {
		t.Fatalf("the command wrote %q", fields)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	for _, field := range fields[:2] {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		wantGone(t, pid)
	}
}

// wantGone waits until a process has ended.
func wantGone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(waitLimit/time.Millisecond))
	if n != 1 {
		t.Errorf("process %d lives: %v", pid, err)
	}
}

func TestRoute_ProxyCommandSaysWhyItFails(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	u.configure(t, "Host box\n ProxyCommand echo no way to %h >&2; exit 1")
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, "box", "no way to box")
	u.configure(t, "Host box\n ProxyCommand printf '\\033[31mred\\n\\nagain' >&2")
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, "says: ?[31mred; again")
	u.configure(t, "Host box\n ProxyCommand echo %C")
	u.wantRefused(t, "box", none(), banger.CodeInvalid, "%C")
}

func TestRoute_ProxyCommandOfTheUsersOwnSSH(t *testing.T) {
	t.Parallel()
	u, s := through(t, 2)
	u.knows(t, s...)
	u.configure(t, s[0].block("box", "ProxyCommand ssh -F "+u.ConfigFile+" -i "+u.file("id_ed25519")+" -W %h:%p first"), s[1].block("first"))
	u.wantIn(t, "box", none())
}

func TestRoute_NobodyListens(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	port := closedPort(t)
	u.configure(t, "Host box\n HostName 127.0.0.1\n Port "+port)
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, "box at 127.0.0.1:"+port, "refused")
}

// blackHole accepts connections and says nothing. Its channel has a value for each.
func blackHole(t *testing.T) (port string, accepted <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan struct{}, 10)
	var conns []net.Conn
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			conns = append(conns, conn)
			events <- struct{}{}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
		for _, conn := range conns {
			conn.Close()
		}
	})
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, events
}

func TestRoute_ContextEndsEveryWait(t *testing.T) {
	t.Parallel()
	hole := func(t *testing.T, u *visitor) (string, <-chan struct{}) {
		port, accepted := blackHole(t)
		return "Host box\n HostName 127.0.0.1\n Port " + port, accepted
	}
	for name, make := range map[string]func(*testing.T, *visitor) (string, <-chan struct{}){
		"handshake": hole,
		"handshake of a jump": func(t *testing.T, u *visitor) (string, <-chan struct{}) {
			block, accepted := hole(t, u)
			return strings.Replace(block, "box", "first", 1) + "\nHost box\n ProxyJump first", accepted
		},
		"proxy command": func(t *testing.T, u *visitor) (string, <-chan struct{}) {
			return "Host box\n ProxyCommand sh -c 'echo $$ >" + filepath.Join(u.home, "pid") + "; echo >" + fifo(t, u, "started") + "; exec sleep 1000'", opened(t, u, "started")
		},
		"match exec": func(t *testing.T, u *visitor) (string, <-chan struct{}) {
			return "Match exec \"echo $$ >" + filepath.Join(u.home, "pid") + "; echo >" + fifo(t, u, "started") + "; exec sleep 1000\"\n User root", opened(t, u, "started")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUser(t)
			block, soFar := make(t, u)
			u.configure(t, block)
			wantEnd(t, u, "box", soFar)
			if pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, filepath.Join(u.home, "pid")))); err == nil {
				wantGone(t, pid)
			} else if strings.Contains(block, "sleep") {
				t.Error("the command has left no pid")
			}
		})
	}
}

// fifo makes one in the user's home.
func fifo(t *testing.T, u *visitor, name string) string {
	t.Helper()
	path := filepath.Join(u.home, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// opened has a value once somebody has written to the fifo.
func opened(t *testing.T, u *visitor, name string) <-chan struct{} {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(u.home, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan struct{}, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		if _, err := f.Read(make([]byte, 1)); err == nil {
			events <- struct{}{}
		}
	})
	t.Cleanup(func() {
		f.Close()
		reading.Wait()
	})
	return events
}

func TestRoute_ConnectTimeout(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	port, _ := blackHole(t)
	u.configure(t, "Host box\n HostName 127.0.0.1\n Port "+port+"\n ConnectTimeout 1")
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, "ConnectTimeout")
}

// A connection that is lost while keys are offered is not one that takes no key.
func TestRoute_LostWhileLoggingIn(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := newUser(t)
	u.key(t, "id_ed25519")
	signer, err := ssh.ParsePrivateKey([]byte(readFile(t, u.key(t, "host"))))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			conn.Close()
			return nil, errors.New("no")
		}}
		config.AddHostKey(signer)
		_, _, _, _ = ssh.NewServerConn(conn, config)
	})
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	u.configure(t, "Host box\n HostName 127.0.0.1\n Port "+port+"\n StrictHostKeyChecking no")
	u.wantRefused(t, "box", none(), banger.CodeUnavailable, u.file("id_ed25519"))
	listener.Close()
	serving.Wait()
}

func TestRoute_ClientOutlivesTheContextOfItsDial(t *testing.T) {
	t.Parallel()
	u, s := through(t, 2)
	u.knows(t, s...)
	u.configure(t, s[0].block("box", "ProxyJump first", "ConnectTimeout 60"), s[1].block("first"))
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	client, err := u.Dial(ctx, sshhost.Target{Host: "box"}, none())
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wantCommand(t, client)
}

// A server that accepts and then says nothing is waited for as long as the caller's limit is,
// and then the error names the step.
func TestDial_NamesTheStepThatTookTooLong(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	u.configure(t, "Host box\n HostName 127.0.0.1\n Port "+portOf(listener))
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var steps []string
	client, err := u.Dial(banger.WithSteps(ctx, func(step string) {
		if steps = append(steps, step); strings.HasPrefix(step, "waiting for the SSH server") {
			cancel(errors.New("the limit is over"))
		}
	}), sshhost.Target{Host: "box"}, none())
	if err == nil {
		client.Close()
		t.Fatal("it got in")
	}
	wantError(t, err, banger.CodeUnavailable, "waiting for the SSH server: the limit is over")
	if len(steps) != 2 || !strings.HasPrefix(steps[0], "connecting to box at 127.0.0.1:") {
		t.Errorf("steps %q", steps)
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
