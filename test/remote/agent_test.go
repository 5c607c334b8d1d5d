package remote

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"banger"
	"banger/internal/hosttest"
	"banger/test/wait"
)

// keyOnlyInAgent leaves a rig's user with no key but those of an ssh-agent.
func (r *rig) keyOnlyInAgent() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.server.Address)
	config := fmt.Sprintf("Host lab\n HostName %s\n Port %s\n User %s\nHost *\n IdentityFile none\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n",
		host, port, hosttest.SSHUser, filepath.Join(r.home, ".ssh", "known_hosts"))
	if err := os.WriteFile(filepath.Join(r.home, ".ssh", "config"), []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// startAgent starts an ssh-agent that has the server's key; kill ends it.
func (r *rig) startAgent() (socket string, kill func()) {
	r.t.Helper()
	dir, err := os.MkdirTemp("", "b-") // short: a socket lies in it
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "agent")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	ended := false
	kill = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	r.t.Cleanup(kill)
	if _, err := out.Read(make([]byte, 1)); err != nil { // it prints its socket when it listens
		r.t.Fatalf("ssh-agent said nothing: %v", err)
	}
	add := exec.CommandContext(r.t.Context(), "ssh-add", "-q", r.server.Key())
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		r.t.Fatalf("ssh-add: %v: %s", err, out)
	}
	return socket, kill
}

// The agent is that of the user's login, which comes and goes while the daemon stays.
func TestRemote_TheUsersAgentLogsInAgainAndCanBeReplaced(t *testing.T) {
	r := newRig(t, hosttest.SSHOptions{})
	r.keyOnlyInAgent()
	checkRefused(t, r.add(), "no key was accepted")
	first, kill := r.startAgent()
	add := banger.RemoteRequest{Name: "v", SSH: r.target, Answers: banger.RemoteAnswers{AgentSocket: first}}
	if _, err := r.AddRemote(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	r.start("cat", "cat")
	up := r.vm().ReadyAt
	r.server.Cut()
	wait.For(t, "the next login", func() bool { return r.vm().ReadyAt.After(up) })
	r.converse("cat", 0, "it has logged in again")

	kill()
	r.server.Cut()
	wait.For(t, "the host to be unreachable", func() bool { return !r.vm().UnreachableSince.IsZero() })
	_, err := r.UnlockRemote(t.Context(), "v", banger.RemoteAnswers{})
	checkRefused(t, err, first)
	checkRefused(t, err, "vm unlock")
	second, _ := r.startAgent()
	if _, err := r.UnlockRemote(t.Context(), "v", banger.RemoteAnswers{AgentSocket: second}); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the host to be reachable", func() bool { return r.vm().UnreachableSince.IsZero() })
	r.converse("cat", int64(len("it has logged in again\n")), "and again")
}
