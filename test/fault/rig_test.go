package fault

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/paths"
	"banger/internal/version"
	"banger/sessionstream"
)

// patience bounds every wait of these tests for what must happen.
const patience = 2 * time.Minute

// rig is a host of which every part can be killed: daemon and clients are
// processes. Its one VM's guest is this host: a real SSH server on the loopback,
// with the real agent and shims behind it, since an emulated one is slow.
type rig struct {
	t       *testing.T
	paths   paths.Paths
	guests  *hosttest.Guests
	address string // of the guest's SSH server

	mu      sync.Mutex // guards the fields below
	vm      banger.VM
	daemon  *exec.Cmd
	closing bool
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, paths: paths.Paths{
		Config: filepath.Join(dir, "config"), Data: filepath.Join(dir, "data"), State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"),
	}}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := r.paths.Create(); err != nil {
		t.Fatal(err)
	}
	agent, shim := filepath.Join(string(bin), "banger-agent"), filepath.Join(string(bin), "banger-shim")
	r.guests = hosttest.NewGuests(t, hosttest.Binaries{Agent: agent, Shim: shim}, filepath.Join(dir, "guests"), writeKey(t, r.paths.ClientKey()))
	r.serveGuest()
	r.startDaemon()
	t.Cleanup(r.close)
	c := r.client()
	vm, err := c.CreateVM(t.Context(), banger.VMRequest{Name: "v"})
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.vm = vm // its guest can be served from now on
	r.mu.Unlock()
	if _, err := c.StartVM(t.Context(), string(vm.ID)); err != nil {
		t.Fatal(err)
	}
	return r
}

// writeKey makes the daemon's SSH key.
func writeKey(t *testing.T, path string) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
	}
	signer, signerErr := ssh.NewSignerFromSigner(private)
	if err != nil || signerErr != nil {
		t.Fatal(err, signerErr)
	}
	return signer.PublicKey()
}

// serveGuest serves the guest's SSH server until the test ends.
func (r *rig) serveGuest() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.address = l.Addr().String()
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			spec := banger.MachineSpec{VMID: r.vm.ID, StateDir: r.paths.VM(r.vm.ID)}
			r.mu.Unlock()
			conns.Go(func() { r.guests.Serve(spec, conn) })
		}
	})
	r.t.Cleanup(func() {
		l.Close()
		r.guests.Cut()
		conns.Wait()
	})
}

// close ends everything that the rig has started.
func (r *rig) close() {
	r.mu.Lock()
	r.closing = true
	daemon := r.daemon
	r.mu.Unlock()
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	r.guests.Kill(r.vm.ID)
}

func (r *rig) client() *client.Client { return client.New(r.paths.Socket(), version.String()) }

// attach attaches a client in this process, until the test ends.
func (r *rig) attach(x banger.Session, attach sessionstream.Attach) *sessionstream.Attachment {
	r.t.Helper()
	a, err := r.client().Attach(r.t.Context(), "v", string(x.ID), attach)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// startDaemon starts a daemon and returns when it serves.
func (r *rig) startDaemon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return
	}
	cmd := r.role("daemon", r.address)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Error(err)
		return
	}
	r.daemon = cmd
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		r.t.Errorf("the daemon says %q, %v", line, err)
	}
}

// killDaemon kills the daemon and starts another one.
func (r *rig) killDaemon() {
	_ = r.daemon.Process.Kill()
	_ = r.daemon.Wait()
	r.startDaemon()
}

// The roles that this test binary can be run in.
const roleVariable = "BANGER_TEST_ROLE"

// role returns the command of a process in a role; its log goes to the test's.
func (r *rig) role(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name, "GORACE=atexit_sleep_ms=0 halt_on_error=1 exitcode=66",
		"BANGER_TEST_DIR="+filepath.Dir(r.paths.Config))
	cmd.Stderr = prefixed{r.t.Output(), name + ": "}
	return cmd
}

// prefixed writes lines with their writer's name before them.
type prefixed struct {
	to     io.Writer
	prefix string
}

func (p prefixed) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		fmt.Fprint(p.to, p.prefix, strings.TrimRight(line, "\n"), "\n")
	}
	return len(b), nil
}

// rigPaths are those of the rig, in a process with a role.
func rigPaths() paths.Paths {
	dir := os.Getenv("BANGER_TEST_DIR")
	return paths.Paths{
		Config: filepath.Join(dir, "config"), Data: filepath.Join(dir, "data"), State: filepath.Join(dir, "state"), Runtime: filepath.Join(dir, "run"),
	}
}

// self starts a session that runs this test binary in a role.
func (r *rig) self(name, role string, args ...string) banger.Session {
	r.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	return r.start(name, map[string]banger.ByteString{roleVariable: banger.ByteString(role)}, append([]string{exe}, args...)...)
}

func (r *rig) start(name string, env map[string]banger.ByteString, argv ...string) banger.Session {
	r.t.Helper()
	x, err := r.client().StartSession(r.t.Context(), "v", banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: banger.ByteString(argv[0]), Args: banger.ByteStrings(argv[1:]), Env: env, StdinMode: banger.StdinPipe,
	}})
	if err != nil || x.EndedBy == banger.EndedByLaunch {
		r.t.Fatalf("cannot start session %s: %v %s", name, err, x.LaunchMessage)
	}
	return x
}

// runRole is the main function of a process with a role.
func runRole(role string, args []string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch role {
	case "daemon":
		return hosttest.RunDaemon(ctx, rigPaths(), args[0], func() { fmt.Println("ready") })
	case "client":
		return runClient(ctx, args[0], args[1], args[2])
	case "lines":
		return printLines(args[0])
	case "gauge":
		return runGauge(args[0], args[1], args[2])
	case "watcher":
		return runWatcher(ctx, args[0])
	case "sip":
		return sip()
	case "steps":
		return copyInSteps(args[0])
	}
	return fmt.Errorf("there is no role %q", role)
}

// faults are what happens to a rig.
func (r *rig) faults() map[string]func() {
	return map[string]func(){
		"the daemon is killed":   r.killDaemon,
		"the link is cut":        r.guests.Cut,
		"control is killed":      func() { r.guests.KillControl(r.vm.ID) },
		"the daemon is upgraded": func() { _ = r.daemon.Process.Signal(syscall.SIGTERM); _ = r.daemon.Wait(); r.startDaemon() },
	}
}
