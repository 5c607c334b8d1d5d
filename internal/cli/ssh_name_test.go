//go:build !unit

package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/machine/inmem"
	"banger/internal/vmm"
	"banger/test/wait"
)

// sshUser is somebody whose own ssh has our configuration, and before it in the same file
// what is most hostile to it: ssh runs this test binary as banger.
type sshUser struct {
	*live
	config string
	socket string
}

func newSSHUser(t *testing.T, o hosttest.Options) *sshUser {
	t.Helper()
	l := &live{hosttest.NewWith(t, bin, o), t}
	u := &sshUser{live: l, config: filepath.Join(t.TempDir(), "config"), socket: l.Host.Paths.Socket()}
	var text bytes.Buffer
	c := CLI{Backend: l, Stdout: &text, Stderr: t.Output()}
	if status := c.Run(t.Context(), []string{"ssh-config"}); status != 0 {
		t.Fatalf("ssh-config: exit status %d", status)
	}
	stale := filepath.Join(t.TempDir(), "known_hosts")
	const old = "*.banger ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh5dGVzdGtleXh5dGVzdGtleXh5dGVzdGtleXh5dGVz\n"
	text.WriteString("Host *\n  UserKnownHostsFile " + stale + "\n  ControlMaster auto\n  ControlPersist 60\n  ControlPath " +
		filepath.Join(t.TempDir(), "m-%n") + "\n  User nobody\n  HashKnownHosts yes\n")
	for path, data := range map[string]string{u.config: text.String(), stale: old} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if data, err := os.ReadFile(stale); err != nil || string(data) != old {
			t.Errorf("the user's known_hosts has become %q, %v", data, err)
		}
	})
	return u
}

// command is a program of OpenSSH that uses the configuration. It may ask nothing.
func (u *sshUser) command(tool string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(u.t.Context(), tool, append([]string{"-F", u.config, "-o", "BatchMode=yes"}, args...)...)
	cmd.Env = u.environment()
	return cmd
}

// environment makes this test binary banger, which has no second to spare when it ends.
func (u *sshUser) environment() []string {
	return append(os.Environ(), runAsCLI+"="+u.socket, "GORACE=atexit_sleep_ms=0")
}

// ssh runs one to its end. Its streams end when it does: whatever was started on the way
// keeps none of them.
func (u *sshUser) ssh(args ...string) (stdout, stderr string, status int) {
	u.t.Helper()
	return run(u.t, u.command("ssh", args...))
}

func run(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		return out.String(), errs.String(), exit.ExitCode()
	}
	return out.String(), errs.String(), 0
}

func TestSSHName_RunsCommandsAndStartsTheVM(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	if _, err := u.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	out, errs, status := u.ssh("web.banger", "id -un; echo problem >&2; exit 7")
	if out != "root\n" || status != 7 || errs != "banger: VM web is stopped; starting it\nproblem\n" {
		t.Errorf("the first time: exit status %d, %q, %q", status, out, errs)
	}
	data := bytes.Repeat([]byte("\x00\xff\r\n~."), 1<<16)
	cmd := u.command("ssh", "WEB.banger", "cat")
	cmd.Stdin = bytes.NewReader(data)
	out, errs, status = run(t, cmd)
	if !bytes.Equal([]byte(out), data) || errs != "" || status != 0 {
		t.Errorf("%d bytes of %d came back, exit status %d, %s", len(out), len(data), status, errs)
	}
}

// Each name has its VM's key, also when another VM has it, and no other VM's.
func TestSSHName_KnowsTheKeyOfThisVM(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	id := func() string { return string(u.StartVM("web").ID) }
	first := id()
	if _, errs, status := u.ssh("web.banger", "true"); status != 0 {
		t.Fatalf("exit status %d, %s", status, errs)
	}
	if err := u.VMs.DeleteVM(t.Context(), first, true); err != nil {
		t.Fatal(err)
	}
	second := id()
	if _, errs, status := u.ssh("web.banger", "true"); status != 0 {
		t.Errorf("made again under the same name: exit status %d, %s", status, errs)
	}
	if _, errs, status := u.ssh("-p", "2222", "web.banger", "true"); status != 0 {
		t.Errorf("with a port: exit status %d, %s", status, errs)
	}
	other := u.StartVM("other")
	key, err := os.ReadFile(filepath.Join(u.Host.Paths.VM(other.ID), "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(u.Host.Paths.VM(banger.VMID(second)), "known_hosts"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := u.ssh("web.banger", "true"); status != 255 || !strings.Contains(errs, "REMOTE HOST IDENTIFICATION HAS CHANGED") {
		t.Errorf("with another VM's key: exit status %d, %s", status, errs)
	}
}

// The machine is killed while the user's settings keep connections for others to use.
func TestSSHName_NoConnectionOutlivesItsMachine(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	vm := u.StartVM("web")
	for range 2 {
		if _, errs, status := u.ssh("web.banger", "true"); status != 0 {
			t.Fatalf("exit status %d, %s", status, errs)
		}
		u.PowerOff(vm.ID)
		wait.For(t, "the end of the machine", func() bool {
			now, err := u.VMs.GetVM(t.Context(), "web")
			return err == nil && now.State != banger.VMRunning
		})
	}
}

func TestSSHName_SaysWhyItCannotConnect(t *testing.T) {
	home := t.TempDir()
	u := newSSHUser(t, hosttest.Options{Home: home, Guest: func(g *inmem.Guest) {
		g.Boot = func(context.Context, vmm.MachineSpec) error { return errors.New("no root file system") }
	}})
	if _, err := u.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "broken"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"web.banger":     `cannot find vm "web"`,
		"a.b.banger":     "a VM's name has no dot",
		"broken.banger":  "no root file system",
		"$HOME.banger":   "invalid characters",
		"'; id;'.banger": "invalid characters",
		"..banger":       "a VM is reached as NAME.banger",
		".banger":        "a VM is reached as NAME.banger",
	} {
		_, errs, status := u.ssh(name, "true")
		if status != 255 || !strings.Contains(errs, want) && !strings.Contains(errs, "cannot") {
			t.Errorf("%s: exit status %d, %s", name, status, errs)
		}
		if strings.Contains(want, "VM") && !strings.Contains(errs, want) {
			t.Errorf("%s: %s", name, errs)
		}
	}
}

// sshHelpers are the processes that ssh has started to reach this user's VMs.
func (u *sshUser) sshHelpers() (lines []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		line, _ := os.ReadFile(path)
		environment, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "environ"))
		if bytes.Contains(line, []byte("ssh-proxy\x00")) && bytes.Contains(environment, []byte(runAsCLI+"="+u.socket+"\x00")) {
			lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}

// openDescriptors are those of this process, which has the daemon.
func openDescriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// Clients give up while the VM does not become ready, and are killed while bytes flow, while
// none do, and with one half of their streams closed. Nothing of them is left, in the daemon
// neither.
func TestSSHName_NothingOutlivesTheClient(t *testing.T) {
	ready := make(chan struct{})
	u := newSSHUser(t, hosttest.Options{Guest: func(g *inmem.Guest) {
		g.Boot = func(ctx context.Context, _ vmm.MachineSpec) error {
			select {
			case <-ready:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}})
	if _, err := u.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	var polling sync.WaitGroup
	for range 8 {
		polling.Go(func() {
			if _, _, status := u.ssh("-o", "ConnectTimeout=1", "web.banger", "true"); status != 255 {
				t.Errorf("connected to a VM that is not ready: exit status %d", status)
			}
		})
	}
	polling.Wait()
	u.waitForNoHelper()
	killed := u.command("ssh", "web.banger", "true") // without a word to its helper
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the helper", func() bool { return len(u.sshHelpers()) == 1 })
	_ = killed.Process.Kill()
	_ = killed.Wait()
	u.waitForNoHelper()
	close(ready)
	if _, errs, status := u.ssh("web.banger", "true"); status != 0 {
		t.Fatalf("exit status %d, %s", status, errs)
	}
	before := openDescriptors(t)
	for name, command := range map[string]string{
		"a transfer out": "exec cat /dev/zero", "a transfer in": "exec cat >/dev/null", "silence": "exec sleep 1234567",
		"closed outputs": "exec <&- >&- 2>&-; exec sleep 1234567",
	} {
		u.killInTheMiddle(name, command)
	}
	wait.For(t, "the end of what the clients had the daemon open", func() bool { return openDescriptors(t) <= before })
}

// killInTheMiddle kills an ssh when its command runs.
func (u *sshUser) killInTheMiddle(name, command string) {
	u.t.Helper()
	cmd := u.command("ssh", "web.banger", "echo $$ >&2; "+command)
	zeros, err := os.Open("/dev/zero")
	if err != nil {
		u.t.Fatal(err)
	}
	defer zeros.Close()
	cmd.Stdin = zeros
	said, err := cmd.StderrPipe()
	if err != nil {
		u.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := said.Read(line)
	if err != nil {
		u.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		u.t.Fatalf("%s: the command says %q", name, line[:n])
	}
	if len(u.sshHelpers()) != 1 {
		u.t.Errorf("%s: there are %d helpers", name, len(u.sshHelpers()))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	u.waitForNoHelper()
	wait.For(u.t, "the end of the command of "+name, func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) })
}

func (u *sshUser) waitForNoHelper() {
	u.t.Helper()
	wait.For(u.t, "the end of the helpers", func() bool { return len(u.sshHelpers()) == 0 })
}

// ssh and its proxy belong to the foreground of a terminal both: what interrupts the one must
// not have the other complain.
func TestSSHProxy_EndsSilentlyWithItsClient(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("web")
	for _, args := range [][]string{{"web.banger", "true"}, {"-N", "-o", "ExitOnForwardFailure=yes", "-R", "1:127.0.0.1:99999", "web.banger"}} {
		_, errs, _ := u.ssh(args...)
		if strings.Contains(errs, "banger:") {
			t.Errorf("%s: %s", args, errs)
		}
	}
}

// Only ssh has a use for what these read and print.
func TestSSHProxy_IsNotForATerminal(t *testing.T) {
	f := &fake{access: testAccess()}
	if got := onTerminal(t, f, []string{"ssh-proxy", "web.banger"}); !strings.Contains(got, "ssh NAME.banger") {
		t.Errorf("printed %q", got)
	}
}

// What is looked up becomes a part of a line that ssh trusts.
func TestSSHKnownHosts_PrintsNothingForWhatIsNoHost(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("web")
	for _, lookup := range []string{"*", "a,b", "!a", "a b", "a\nb", "", "@revoked", "|1|x", "#"} {
		var out, errs bytes.Buffer
		c := CLI{Backend: u.live, Stdout: &out, Stderr: &errs}
		if status := c.Run(t.Context(), []string{"ssh-known-hosts", "web.banger", lookup}); status != exitUsage || out.Len() > 0 {
			t.Errorf("%q: exit status %d, %s", lookup, status, &out)
		}
	}
	var out bytes.Buffer
	c := CLI{Backend: u.live, Stdout: &out, Stderr: t.Output()}
	if status := c.Run(t.Context(), []string{"ssh-known-hosts", "--", "web.banger", "[web.banger]:2222"}); status != 0 ||
		!slices.Equal(strings.Fields(out.String())[:2], []string{"[web.banger]:2222", "ssh-ed25519"}) {
		t.Errorf("exit status %d, %q", status, &out)
	}
}
