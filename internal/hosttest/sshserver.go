package hosttest

import (
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
	"sync"
	"syscall"
	"testing"
)

// SSHUser is the user of an SSHServer, who exists in its mount namespace only.
const SSHUser = "banger-tester"

// SSHServer is a remote host: a real SSH server on the loopback, one
// process for each connection, in a mount namespace in which the user has an account.
type SSHServer struct {
	Address string // host:port
	Dir     string // of everything
	Home    string // of the user

	t       testing.TB
	options SSHOptions
	uid     uint32 // of the user; nobody else's
	running sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	conns  map[io.Closer]bool
	closed bool
}

// SSHOptions change what an SSHServer is. The zero value is OpenSSH as Debian has it.
type SSHOptions struct {
	Dropbear bool
	Lines    []string // of sshd_config(5), before all others
	// Setup is a shell script that runs in the mount namespace of each connection,
	// with $home and $dir.
	Setup string
	Shell string // of the user; default /bin/bash
	// Under is shell words before the server's command, which run it: a filter, say.
	Under string
	// Net, if not nil, returns what the network makes of a connection.
	Net func(net.Conn) net.Conn
}

// NewSSHServer makes a server that ends with the test, with everything that runs in it.
func NewSSHServer(t testing.TB, o SSHOptions) *SSHServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHServer{Dir: dir, Home: filepath.Join(dir, "home"), t: t, options: o, uid: 1<<20 + rand.N[uint32](1<<20), conns: map[io.Closer]bool{}}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if s.options.Shell == "" {
		s.options.Shell = "/bin/bash"
	}
	if err := s.makeFiles(); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Address = listener.Addr().String()
	s.running.Go(func() { s.serve(listener) })
	t.Cleanup(func() {
		listener.Close()
		s.Cut()
		s.running.Wait()
		s.KillProcesses("")
		for _, place := range []string{"/var/tmp", "/tmp", "/dev/shm"} { // where it may have put something
			os.RemoveAll(fmt.Sprintf("%s/banger-%d", place, s.uid))
		}
	})
	return s
}

// makeFiles makes the account and the server's configuration.
func (s *SSHServer) makeFiles() error {
	file := func(name string) string { return filepath.Join(s.Dir, name) }
	config := append(s.options.Lines,
		"HostKey "+file("host_key"), "AuthorizedKeysFile "+file("authorized_keys"), "StrictModes no", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "UsePAM no", "PidFile none", "LogLevel ERROR", "")
	if !strings.Contains(strings.Join(config, "\n"), "Subsystem") {
		config = append(config, "Subsystem sftp internal-sftp", "")
	}
	account := fmt.Sprintf("%s:x:%d:%d::%s:%s\n", SSHUser, s.uid, s.uid, s.Home, s.options.Shell)
	return errors.Join(
		os.Chmod(s.Dir, 0o755),
		os.Mkdir(s.Home, 0o700), os.Chown(s.Home, int(s.uid), int(s.uid)),
		os.MkdirAll("/run/sshd", 0o755), // where it separates its privileges; its service makes the directory
		appended("/etc/passwd", file("passwd"), account),
		appended("/etc/group", file("group"), fmt.Sprintf("%s:x:%d:\n", SSHUser, s.uid)),
		command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file("host_key")),
		command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.Key()),
		appended(s.Key()+".pub", file("authorized_keys"), ""),
		os.WriteFile(file("sshd_config"), []byte(strings.Join(config, "\n")), 0o600),
		s.makeDropbear())
}

// makeDropbear makes what dropbear has in places of its own.
func (s *SSHServer) makeDropbear() error {
	if !s.options.Dropbear {
		return nil
	}
	keys := filepath.Join(s.Home, ".ssh")
	return errors.Join(os.Mkdir(keys, 0o700), appended(s.Key()+".pub", filepath.Join(keys, "authorized_keys"), ""),
		command("chown", "-R", fmt.Sprintf("%d:%d", s.uid, s.uid), keys),
		command("dropbearkey", "-t", "ed25519", "-f", filepath.Join(s.Dir, "dropbear_key")))
}

// appended writes the file from, and more, to another file.
func appended(from, to, more string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, append(data, more...), 0o644)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot run %s %q (see scripts/install-deps test): %w: %s", name, args, err, out)
	}
	return nil
}

// Key is the file of the private key that the server lets in.
func (s *SSHServer) Key() string { return filepath.Join(s.Dir, "client_key") }

// KnownHosts returns the line of known_hosts for the server.
func (s *SSHServer) KnownHosts() string {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.Address)
	var key string
	if s.options.Dropbear {
		out, err := exec.Command("dropbearkey", "-y", "-f", filepath.Join(s.Dir, "dropbear_key")).Output()
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "ssh-") {
				key = line
			}
		}
	} else {
		data, err := os.ReadFile(filepath.Join(s.Dir, "host_key.pub"))
		if err != nil {
			s.t.Fatal(err)
		}
		key = string(data)
	}
	return fmt.Sprintf("[%s]:%s %s", host, port, key)
}

// program is the server for one connection on its standard streams.
func (s *SSHServer) program() string {
	if s.options.Dropbear {
		return "exec dropbear -i -s -r \"$dir/dropbear_key\""
	}
	return "exec " + s.options.Under + " /usr/sbin/sshd -i -e -f \"$dir/sshd_config\""
}

// serve runs a server for each connection until the listener is closed.
func (s *SSHServer) serve(listener net.Listener) {
	script := `set -e
mount --make-rprivate /
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group
` + s.options.Setup + "\n" + s.program()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.t.Errorf("cannot accept: %v", err)
			return
		}
		if s.isClosed() {
			conn.Close()
			continue
		}
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Env = append(os.Environ(), "dir="+s.Dir, "home="+s.Home)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		cmd.Stderr = s.t.Output()
		s.running.Go(func() { s.serveConn(cmd, conn) })
	}
}

// serveConn runs one server until the connection ends.
func (s *SSHServer) serveConn(cmd *exec.Cmd, conn net.Conn) {
	s.note(conn, true)
	defer s.note(conn, false)
	if s.options.Net != nil {
		s.serveShaped(cmd, conn)
		return
	}
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		s.t.Errorf("cannot hand over a connection: %v", err)
		return
	}
	cmd.Stdin, cmd.Stdout = file, file
	_ = cmd.Run() // how it ends is up to the client
	file.Close()
	conn.Close()
}

// serveShaped has the network's part between the client and the server.
func (s *SSHServer) serveShaped(cmd *exec.Cmd, conn net.Conn) {
	shaped := s.options.Net(conn)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Errorf("cannot hand over a connection: %v", err)
		return
	}
	theirs := os.NewFile(uintptr(pair[1]), "server")
	ours := os.NewFile(uintptr(pair[0]), "network")
	inner, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		s.t.Errorf("cannot hand over a connection: %v", err)
		return
	}
	cmd.Stdin, cmd.Stdout = theirs, theirs
	var carrying sync.WaitGroup
	carrying.Go(func() { _, _ = io.Copy(inner, shaped); inner.Close() })
	carrying.Go(func() { _, _ = io.Copy(shaped, inner); shaped.Close() })
	_ = cmd.Run()
	theirs.Close()
	inner.Close()
	shaped.Close()
	carrying.Wait()
}

func (s *SSHServer) note(conn io.Closer, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[conn] = true
	} else {
		delete(s.conns, conn)
	}
}

// Close breaks every connection and takes no more until Open; what runs continues.
func (s *SSHServer) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Cut()
}

// Open takes connections again.
func (s *SSHServer) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = false
}

func (s *SSHServer) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// AgentDir is the directory in which the versions of the agent lie, if the home is usual.
func (s *SSHServer) AgentDir() string { return filepath.Join(s.Home, ".local/state/banger/agent") }

// Cut breaks every connection, as a network does: the server hears of it when it
// next looks.
func (s *SSHServer) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.CloseWrite() // the server has the descriptor, too
			_ = tcp.CloseRead()
		}
		conn.Close()
	}
}

// KillProcesses kills the user's processes that have word in their command line; with
// "", all of them.
func (s *SSHServer) KillProcesses(word string) {
	s.t.Helper()
	for _, pid := range s.Processes(word) {
		killAndWait(pid)
	}
}

// Processes are the user's that have word in their command line, of which each word
// ends with a NUL; its name is behind a NUL, too.
func (s *SSHServer) Processes(word string) []int {
	var found []int
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		var stat syscall.Stat_t
		line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil || syscall.Stat(folder, &stat) != nil || stat.Uid != s.uid || !strings.Contains("\x00"+string(line), word) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// NewSSHHome makes the home directory of a user who may log in to a server, in home, and
// returns how that user's ssh names it.
func NewSSHHome(t testing.TB, home string, s *SSHServer) (target string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(s.Address)
	dir := filepath.Join(home, ".ssh")
	known := filepath.Join(dir, "known_hosts")
	config := fmt.Sprintf("Host lab\n HostName %s\n Port %s\n User %s\n IdentityFile %s\nHost *\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n IdentityAgent none\n",
		host, port, SSHUser, s.Key(), known)
	err := errors.Join(os.MkdirAll(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600),
		os.WriteFile(known, []byte(s.KnownHosts()), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return "lab"
}
