//go:build !unit

package sshd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"banger/internal/agent/sshd"

	"golang.org/x/crypto/ssh"
)

// newTCPServer starts a server on a port of the loopback, as OpenSSH needs it.
func newTCPServer(t *testing.T) *testServer {
	t.Helper()
	l, err := sshd.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newServerOn(t, l)
}

// openSSH runs one of the user's own OpenSSH tools against the server, with what
// it needs to know the server and nothing of the user's configuration.
func (s *testServer) openSSH(t *testing.T, stdin io.Reader, tool string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, append(s.openSSHOptions(t, tool), args...)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

func (s *testServer) openSSHOptions(t *testing.T, tool string) []string {
	t.Helper()
	dir := t.TempDir()
	host, port, err := net.SplitHostPort(s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	identity, known := filepath.Join(dir, "id"), filepath.Join(dir, "known_hosts")
	line := fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(s.hostKey))
	for path, data := range map[string][]byte{identity: s.keyPEM, known: []byte(line)} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	portFlag := "-p"
	if tool != "ssh" {
		portFlag = "-P"
	}
	return []string{
		"-F", "/dev/null", "-i", identity, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + known, portFlag, port,
	}
}

func TestOpenSSH_RunsCommandsWithBinaryStreams(t *testing.T) {
	s := newTCPServer(t)
	data := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{2})
	if _, err := source.Read(data); err != nil {
		t.Fatal(err)
	}
	out, errOut, err := s.openSSH(t, bytes.NewReader(data), "ssh", "root@127.0.0.1", "cat; echo problem >&2; exit 7")
	if sha256.Sum256([]byte(out)) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back of %d, or others", len(out), len(data))
	}
	if errOut != "problem\n" {
		t.Errorf("stderr is %q", errOut)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 7 {
		t.Errorf("ended with %v, want status 7", err)
	}
}

func TestOpenSSH_GetsATerminal(t *testing.T) {
	out, errOut, err := newTCPServer(t).openSSH(t, strings.NewReader(""), "ssh", "-tt", "root@127.0.0.1", "tty && stty -a | grep -o iutf8")
	if err != nil || !strings.HasPrefix(out, "/dev/pts/") {
		t.Errorf("got %q, %q, %v", out, errOut, err)
	}
}

func TestOpenSSH_CopiesFilesBothWays(t *testing.T) {
	s := newTCPServer(t)
	dir := t.TempDir()
	data := make([]byte, 3<<20)
	source := rand.NewChaCha8([32]byte{3})
	if _, err := source.Read(data); err != nil {
		t.Fatal(err)
	}
	local := filepath.Join(dir, "local")
	if err := os.WriteFile(local, data, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, errOut, err := s.openSSH(t, nil, "scp", local, "root@127.0.0.1:by scp"); err != nil {
		t.Fatalf("scp up: %v: %s", err, errOut)
	}
	batch := fmt.Sprintf("put -p %s by-sftp\nget by-sftp %s/back\nrename by-sftp moved\nmkdir folder\nls -l\n", local, dir)
	if out, errOut, err := s.openSSH(t, strings.NewReader(batch), "sftp", "-b", "-", "root@127.0.0.1"); err != nil {
		t.Fatalf("sftp: %v: %s%s", err, out, errOut)
	}
	if _, errOut, err := s.openSSH(t, nil, "scp", "-r", "root@127.0.0.1:", filepath.Join(dir, "all")); err != nil {
		t.Fatalf("scp -r down: %v: %s", err, errOut)
	}
	for _, path := range []string{
		filepath.Join(s.home, "by scp"), filepath.Join(s.home, "moved"),
		filepath.Join(dir, "back"), filepath.Join(dir, "all", "moved"),
	} {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d: %v", path, len(got), len(data), err)
		}
	}
	if info, err := os.Stat(filepath.Join(s.home, "moved")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("put -p: %v, %v; want mode 0640", info.Mode(), err)
	}
}

func TestOpenSSH_RsyncWorks(t *testing.T) {
	if _, err := exec.LookPath("rsync"); err != nil {
		t.Fatal("rsync is missing: apt-get install rsync")
	}
	s := newTCPServer(t)
	local := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(local, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(local, "sub", "file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	shell := "ssh " + strings.Join(s.openSSHOptions(t, "ssh"), " ")
	out, err := exec.CommandContext(t.Context(), "rsync", "-a", "-e", shell, local, "root@127.0.0.1:").CombinedOutput()
	if err != nil {
		t.Fatalf("rsync: %v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(s.home, "tree", "sub", "file")); err != nil || string(got) != "content" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestOpenSSH_ForwardsRemotePorts(t *testing.T) {
	s := newTCPServer(t)
	target := echoListener(t, "tcp", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	args := append(s.openSSHOptions(t, "ssh"), "-N", "-v", "-R", "0:"+target, "root@127.0.0.1")
	cmd := exec.CommandContext(ctx, "ssh", args...)
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	checkEcho(t, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(allocatedPort(t, messages))))
}

// allocatedPort reads what ssh -v says until it names the port of a -R 0:….
func allocatedPort(t *testing.T, messages io.Reader) int {
	t.Helper()
	var said strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := messages.Read(buf)
		said.Write(buf[:n])
		if _, after, ok := strings.Cut(said.String(), "Allocated port "); ok {
			if port, _, ok := strings.Cut(after, " "); ok {
				number, err := strconv.Atoi(port)
				if err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.Copy(io.Discard, messages) }() // so that ssh never blocks
				return number
			}
		}
		if err != nil {
			t.Fatalf("ssh allocated no port: %v: %s", err, said.String())
		}
	}
}
