package fault

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/internal/version"
	"banger/sessionstream"
)

// patience bounds every wait of these tests for what must happen.
const patience = 2 * time.Minute

// place is where the sessions of a rig run, and what can break there.
type place interface {
	// socket is that of the daemon's API.
	socket() string
	// program is where the sessions find the program of package workload.
	program() string
	// daemonPID is the daemon that runs now.
	daemonPID() int
	// killDaemon kills the daemon (SIGKILL) and returns when another one serves.
	killDaemon()
	// upgradeDaemon ends the daemon in order and returns when another one serves.
	upgradeDaemon()
	// cut breaks the link to the guest.
	cut()
	// killControl kills the guest's control processes.
	killControl()
	// shimPID is that of a session's shim, or 0 if that is not a process of this host.
	shimPID(x banger.Session) int
}

// rig is a daemon with the VM v, of which every part can be killed: clients are
// processes, too.
type rig struct {
	place
	t *testing.T
}

// onLoopback makes a rig whose guest is this host: a real SSH server on the
// loopback, with the real agent and shims behind it, since an emulated one is slow.
func onLoopback(t *testing.T) *rig {
	t.Helper()
	return &rig{newLoopback(t), t}
}

// onAHost makes a rig whose guest is a remote host: a real OpenSSH server on the
// loopback, where the sessions are another user's.
func onAHost(t *testing.T, o hosttest.SSHOptions) *rig {
	t.Helper()
	return &rig{newRemoteHost(t, o), t}
}

// in returns the rig for a part of its test.
func (r *rig) in(t *testing.T) *rig { return &rig{r.place, t} }

// faults are what happens to a rig.
func (r *rig) faults() map[string]func() {
	return map[string]func(){
		"the daemon is killed":   r.killDaemon,
		"the daemon is upgraded": r.upgradeDaemon,
		"the link is cut":        r.cut,
		"control is killed":      r.killControl,
	}
}

func (r *rig) client() *client.Client { return client.New(r.socket(), version.String()) }

// attach attaches a client in this process, until the test ends.
func (r *rig) attach(x banger.Session, attach sessionstream.Attach) *sessionstream.Attachment {
	r.t.Helper()
	a, err := r.client().Attach(r.t.Context(), "v", string(x.ID), attach)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// work starts a session that runs a command of package workload.
func (r *rig) work(name, command string, args ...string) banger.Session {
	r.t.Helper()
	return r.start(name, nil, append([]string{r.program(), command}, args...)...)
}

func (r *rig) start(name string, env map[string]banger.ByteString, argv ...string) banger.Session {
	r.t.Helper()
	return r.launch(name, banger.Launch{
		Command: banger.ByteString(argv[0]), Args: banger.ByteStrings(argv[1:]), Env: env, StdinMode: banger.StdinPipe, LogLimit: banger.NoLogLimit,
	})
}

func (r *rig) launch(name string, l banger.Launch) banger.Session {
	r.t.Helper()
	x, err := r.client().StartSession(r.t.Context(), "v", banger.SessionRequest{Name: name, Launch: l})
	if err != nil || x.EndedBy == banger.EndedByLaunch {
		r.t.Fatalf("cannot start session %s: %v %s", name, err, x.LaunchMessage)
	}
	return x
}

// role returns the command of a process in a role; its log goes to the test's.
func (r *rig) role(name string, args ...string) *exec.Cmd {
	return roleCommand(r.t, name, append([]string{r.socket()}, args...)...)
}

// The roles that this test binary can be run in.
const roleVariable = "BANGER_TEST_ROLE"

func roleCommand(t *testing.T, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name, "GORACE=atexit_sleep_ms=0 halt_on_error=1 exitcode=66")
	cmd.Stderr = prefixed{t.Output(), name + ": "}
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

// runRole is the main function of a process with a role.
func runRole(role string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch role {
	case "daemon":
		return hosttest.RunDaemon(ctx, pathsIn(args[0]), args[1], args[2], func() { fmt.Println("ready") })
	case "remote-daemon":
		return hosttest.RunRemoteDaemon(ctx, pathsIn(args[0]), guestPrograms(args[1]), args[2], func() { fmt.Println("ready") })
	case "client":
		return runClient(ctx, args[0], args[1], args[2], args[3])
	case "watcher":
		return runWatcher(ctx, args[0], args[1])
	}
	return fmt.Errorf("there is no role %q", role)
}
