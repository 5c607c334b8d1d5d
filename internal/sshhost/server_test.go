package sshhost_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// server is a real OpenSSH server on a loopback address, one process for each
// connection.
type server struct {
	dir, host, port string
	hostKeys        map[string]string // files of private keys by type

	running sync.WaitGroup
	mu      sync.Mutex // guards conns
	conns   int
}

// newServer starts one with host keys of the types (ed25519 if there are none), and
// with more lines for its sshd_config(5).
func newServer(t *testing.T, lines []string, keyTypes ...string) *server {
	t.Helper()
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		t.Fatal("sshd is missing: apt-get install openssh-server")
	}
	// Where it separates its privileges; its service makes the directory.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	if len(keyTypes) == 0 {
		keyTypes = []string{"ed25519"}
	}
	s := &server{dir: t.TempDir(), hostKeys: map[string]string{}}
	config := append(lines, "AuthorizedKeysFile "+s.authorizedKeys(), "PermitRootLogin yes", "StrictModes no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no", "PidFile none", "LogLevel ERROR")
	for _, kind := range keyTypes {
		s.hostKeys[kind] = makeKey(t, filepath.Join(s.dir, "host_"+kind), kind, "")
		config = append(config, "HostKey "+s.hostKeys[kind])
	}
	writeFile(t, filepath.Join(s.dir, "sshd_config"), strings.Join(config, "\n")+"\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.host, s.port, err = net.SplitHostPort(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s.running.Go(func() { s.serve(t, listener, sshd) })
	t.Cleanup(func() {
		listener.Close()
		s.running.Wait()
	})
	return s
}

// serve runs a server for each connection until the listener is closed. It ends with
// the connection.
func (s *server) serve(t *testing.T, listener net.Listener, sshd string) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("cannot accept: %v", err)
			return
		}
		s.mu.Lock()
		s.conns++
		s.mu.Unlock()
		file, err := conn.(*net.TCPConn).File()
		conn.Close()
		if err != nil {
			t.Errorf("cannot hand over a connection: %v", err)
			return
		}
		cmd := exec.Command(sshd, "-i", "-e", "-f", filepath.Join(s.dir, "sshd_config"))
		cmd.Stdin, cmd.Stdout, cmd.Stderr = file, file, t.Output()
		s.running.Go(func() {
			_ = cmd.Run() // how it ends is up to the client
			file.Close()
		})
	}
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns
}

func (s *server) authorizedKeys() string { return filepath.Join(s.dir, "authorized_keys") }

// authorize lets a key in.
func (s *server) authorize(t *testing.T, keyFile string) {
	t.Helper()
	f, err := os.OpenFile(s.authorizedKeys(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(readFile(t, keyFile+".pub")); err != nil {
		t.Fatal(err)
	}
}

// publicKey returns the server's key of a type.
func (s *server) publicKey(t *testing.T, kind string) ssh.PublicKey {
	t.Helper()
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(readFile(t, s.hostKeys[kind]+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// knownLine is a line of known_hosts for the key in a file.
func (s *server) knownLine(t *testing.T, keyFile string) string {
	t.Helper()
	return fmt.Sprintf("[%s]:%s %s", s.host, s.port, readFile(t, keyFile+".pub"))
}

// block is a Host block of a configuration that leads to the server.
func (s *server) block(name string, lines ...string) string {
	return fmt.Sprintf("Host %s\n HostName %s\n Port %s\n User root\n %s\n", name, s.host, s.port, strings.Join(lines, "\n "))
}

// makeKey makes a pair of keys and returns the file of the private one.
func makeKey(t *testing.T, path, kind, passphrase string) string {
	t.Helper()
	keygen(t, "-q", "-t", kind, "-a", "1", "-N", passphrase, "-C", filepath.Base(path), "-f", path)
	return path
}

func keygen(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readFile returns what is in a file, "" if it is missing.
func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// startAgent starts the user's real agent with keys and returns its socket.
func startAgent(t *testing.T, keyFiles ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-") // short: a socket lies in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "agent")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil { // it prints its socket when it listens
		t.Fatalf("ssh-agent said nothing: %v", err)
	}
	for _, file := range keyFiles {
		add := exec.CommandContext(t.Context(), "ssh-add", "-q", file)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("ssh-add: %v: %s", err, out)
		}
	}
	return socket
}
