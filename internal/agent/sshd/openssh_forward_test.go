//go:build !unit

package sshd_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"banger/test/wait"
)

// forwarding is an ssh that only forwards, until the test ends.
func (s *testServer) forwarding(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	cmd := exec.CommandContext(ctx, "ssh", append(append(s.openSSHOptions(t, "ssh"), "-N", "-o", "ExitOnForwardFailure=yes"), append(args, "root@127.0.0.1")...)...)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
}

// waitForSocket waits until somebody listens.
func waitForSocket(t *testing.T, network, address string) {
	t.Helper()
	wait.For(t, "the socket "+address, func() bool {
		conn, err := net.Dial(network, address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func TestOpenSSH_ForwardsUnixSocketsBothWays(t *testing.T) {
	s := newTCPServer(t)
	dir, err := os.MkdirTemp("", "s-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	target := echoListener(t, "unix", filepath.Join(dir, "target"))
	local, remote := filepath.Join(dir, "local"), filepath.Join(dir, "remote")
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.forwarding(t, "-L", local+":"+target, "-R", remote+":"+target)
	for _, path := range []string{local, remote} {
		waitForSocket(t, "unix", path)
		checkEcho(t, "unix", path)
	}
	if info, err := os.Stat(remote); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket in the guest has mode %v, %v", info.Mode(), err)
	}
	_, errs, err := s.openSSH(t, nil, "ssh", "-o", "ExitOnForwardFailure=yes", "-R", taken+":"+target, "root@127.0.0.1", "true")
	if err == nil || !strings.Contains(errs, "remote port forwarding failed") {
		t.Errorf("forwarded to a file that exists: %v, %s", err, errs)
	}
	if data, err := os.ReadFile(taken); err != nil || string(data) != "a file" {
		t.Errorf("it has become %q, %v", data, err)
	}
}

// As an editor does: its server listens on a port of the guest that only the guest reaches.
func TestOpenSSH_ForwardsDynamically(t *testing.T) {
	s := newTCPServer(t)
	target := echoListener(t, "tcp", "127.0.0.1:0")
	dir := t.TempDir()
	socks := filepath.Join(dir, "socks")
	if len(socks) > 100 {
		t.Fatalf("the path of the socket is too long: %s", socks)
	}
	port := freePort(t)
	s.forwarding(t, "-D", "127.0.0.1:"+port)
	waitForSocket(t, "tcp", "127.0.0.1:"+port)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	socks5(t, conn, target)
	checkEchoConn(t, conn)
}

// freePort returns a port on which nothing listened a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// socks5 asks for a connection to an IPv4 address; RFC 1928.
func socks5(t *testing.T, conn net.Conn, target string) {
	t.Helper()
	address, err := net.ResolveTCPAddr("tcp4", target)
	if err != nil {
		t.Fatal(err)
	}
	request := append([]byte{5, 1, 0, 5, 1, 0, 1}, address.IP.To4()...)
	request = append(request, byte(address.Port>>8), byte(address.Port))
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 2+10)
	for n := 0; n < len(answer); {
		m, err := conn.Read(answer[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if !bytes.Equal(answer[:4], []byte{5, 0, 5, 0}) {
		t.Fatalf("the answer is % x", answer)
	}
}

func TestOpenSSH_LendsTheUsersAgent(t *testing.T) {
	s := newTCPServer(t)
	socket := filepath.Join(t.TempDir(), "agent")
	agent := exec.CommandContext(t.Context(), "ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	waitForSocket(t, "unix", socket)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, s.keyPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	if out, err := exec.CommandContext(t.Context(), "ssh-add", "-q", key).CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	want, err := exec.CommandContext(t.Context(), "ssh-add", "-l").Output()
	if err != nil {
		t.Fatal(err)
	}
	out, errs, err := s.openSSH(t, nil, "ssh", "-A", "root@127.0.0.1", `ssh-add -l && stat -c %a "$SSH_AUTH_SOCK" && dirname "$SSH_AUTH_SOCK"`)
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) != 4 || lines[0]+"\n" != string(want) || lines[1] != "600" {
		t.Fatalf("got %q, %s, %v; want %s", out, errs, err, want)
	}
	if _, err := os.Stat(lines[2]); err == nil {
		t.Errorf("the directory of the socket is left: %s", lines[2])
	}
	out, _, err = s.openSSH(t, nil, "ssh", "root@127.0.0.1", `echo "<$SSH_AUTH_SOCK>"`)
	if err != nil || out != "<>\n" {
		t.Errorf("without -A: %q, %v", out, err)
	}
}

func TestOpenSSH_TenChannelsShareAConnection(t *testing.T) {
	s := newTCPServer(t)
	dir, err := os.MkdirTemp("", "s-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	master := filepath.Join(dir, "master")
	s.forwarding(t, "-M", "-S", master)
	waitForSocket(t, "unix", master)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			want := strings.Repeat(fmt.Sprintln("channel", i), 10_000)
			out, errs, err := s.openSSH(t, strings.NewReader(want), "ssh", "-S", master, "root@127.0.0.1", "cat")
			if err != nil || out != want {
				t.Errorf("channel %d: %d bytes of %d, %v, %s", i, len(out), len(want), err, errs)
			}
		})
	}
	all.Wait()
}
