package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// tool runs an ordinary program of this host that has to succeed.
func tool(t *testing.T, i *installation.Installation, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = i.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func TestVM_OrdinaryToolsReachIt(t *testing.T) {
	i := sharedVM(t)
	r := i.Run(t, "vm", "ssh", vmName, "--", "echo", "$HOME;", "exit", "5")
	if r.Code != 5 || string(r.Stdout) != "/root\n" {
		t.Errorf("ssh: %s", r)
	}
	if r := i.Feed(t, strings.NewReader("in\x00put"), "vm", "ssh", vmName, "--", "cat"); string(r.Stdout) != "in\x00put" {
		t.Errorf("ssh with input: %s", r)
	}
	data := make([]byte, 300<<10)
	_, _ = rand.Read(data)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	back := filepath.Join(dir, "back")
	rsh := filepath.Join(string(bin), "banger") + " vm ssh"
	tool(t, i, "rsync", "-e", rsh, file, vmName+":/root/file")
	tool(t, i, "rsync", "-e", rsh, vmName+":/root/file", back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
		t.Errorf("rsync there and back changed the file: %v", err)
	}
}

// The default image has what people work with, and a user who is not root: its home survives
// with the VM's work disk, and it becomes root without a password.
func TestVM_HasTheToolsPeopleWorkWithAndAUserForThem(t *testing.T) {
	i := sharedVM(t)
	for _, command := range []string{"git init -q ~/repo", "curl --version", "python3 -c 'import ssl, json'", "less --version", "vi --version", "rsync --version", "test -s /etc/ssl/certs/ca-certificates.crt"} {
		if r := i.Run(t, "exec", "-u", banger.BuiltImageUser, vmName, "--", "sh", "-c", command); r.Code != 0 {
			t.Errorf("%s", r)
		}
	}
	said := i.MustRun(t, "exec", "-u", banger.BuiltImageUser, vmName, "--", "sh", "-c", "id -u; pwd; echo $SHELL; sudo id -u")
	if want := "1000\n/home/dev\n/bin/bash\n0\n"; said != want {
		t.Errorf("the user is %q, want %q", said, want)
	}
	if on := i.MustRun(t, "exec", vmName, "--", "stat", "-c", "%d", "/root", "/home/dev"); strings.Split(on, "\n")[0] != strings.Split(on, "\n")[1] {
		t.Errorf("/root and the user's home are on the devices %q, want one: the work disk", on)
	}
}

func TestVM_SFTPAndForwardingWork(t *testing.T) {
	i := sharedVM(t)
	access, err := i.Client().SSHAccess(t.Context(), vmName)
	if err != nil {
		t.Fatal(err)
	}
	options := []string{
		"-o", "IdentityFile=" + access.IdentityFile, "-o", "UserKnownHostsFile=" + access.KnownHostsFile,
		"-o", "HostKeyAlias=" + access.HostKeyAlias, "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "none",
	}
	address := access.User + "@" + access.Host
	port := strconv.Itoa(access.Port)

	file := filepath.Join(t.TempDir(), "sent")
	if err := os.WriteFile(file, []byte("by sftp"), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, i, "scp", append(options, "-P", port, file, address+":/root/sent")...)
	if got := i.MustRun(t, "vm", "ssh", vmName, "--", "cat", "/root/sent"); got != "by sftp" {
		t.Errorf("got %q", got)
	}

	// A server in the guest, reached through a forwarded port of this host.
	start(t, i, "echo-server", "--require", "perl", "--", "perl", "-MIO::Socket::INET", "-e",
		`$s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => 8099, ReuseAddr => 1) or die $!;
		 $| = 1; print "up\n"; while ($c = $s->accept) { while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 OK\r\n\r\nhello from the guest"; close $c }`)
	follow(t, i, "echo-server", "up\n")
	local := freePort(t)
	forward := exec.CommandContext(t.Context(), "ssh", append(options, "-p", port, "-N", "-o", "ExitOnForwardFailure=yes",
		"-L", local+":127.0.0.1:8099", address)...)
	var said bytes.Buffer
	forward.Stderr = &said
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
	if got := fetch(t, "http://"+local); got != "hello from the guest" {
		t.Errorf("got %q through the forwarded port; ssh said %s", got, said.String())
	}
	i.MustRun(t, "session", "kill", vmName, "echo-server")
}

// freePort returns an address of this host on which nobody listens now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// fetch gets a page from a server that may still be starting.
func fetch(t *testing.T, url string) string {
	t.Helper()
	var page []byte
	wait.For(t, "an answer at "+url, func() bool {
		r, err := http.Get(url)
		if err != nil {
			return false
		}
		defer r.Body.Close()
		if page, err = io.ReadAll(r.Body); err != nil {
			t.Fatal(err)
		}
		return true
	})
	return string(page)
}

func TestVM_StopEndsSessionsCleanlyAndTheirLogsComeBack(t *testing.T) {
	i := sharedVM(t)
	run := func(name string, command ...string) {
		i.MustRun(t, append([]string{"session", "start", vmName, "--name", name, "--"}, command...)...)
	}
	run("done", "sh", "-c", "echo done; exit 6")
	if r := i.Run(t, "session", "wait", vmName, "done"); r.Code != 6 {
		t.Errorf("waiting for it: %s", r)
	}
	run("runs", "sh", "-c", "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 1; done")
	i.MustRun(t, "vm", "stop", vmName)
	vm := installation.JSON[banger.VM](t, i, "vm", "show", vmName)
	if vm.State != banger.VMStopped || vm.LastError != "" {
		t.Errorf("VM is %s: %s", vm.State, vm.LastError)
	}
	if x := show(t, i, "runs"); x.EndedBy != banger.EndedByVMStopped || !x.Status.Ended() {
		t.Errorf("a session of a stopped VM: %+v", x.SessionState)
	}
	startBySSH(t, i)
	if x := show(t, i, "done"); x.ExitCode == nil || *x.ExitCode != 6 {
		t.Errorf("exit status after a restart: %+v", x.SessionState)
	}
	if x := show(t, i, "runs"); x.EndedBy != banger.EndedByVMStopped {
		t.Errorf("after a restart: %+v", x.SessionState)
	}
	for name, want := range map[string]string{"done": "done\n", "runs": "up\nstopped\n"} {
		if log := i.MustRun(t, "session", "logs", vmName, name); log != want {
			t.Errorf("%s: log after a restart is %q, want %q", name, log, want)
		}
	}
	if log := i.MustRun(t, "vm", "console-log", vmName); !strings.Contains(log, "banger:") {
		t.Errorf("console log is %q", log)
	}
}

func TestVM_GuestThatPowersItselfOffIsStopped(t *testing.T) {
	i := sharedVM(t)
	since := installation.JSON[banger.DaemonInfo](t, i, "daemon", "status").Revision
	events := i.Follow(t, "events", "--json", "--since", strconv.FormatInt(since, 10))
	i.MustRun(t, "session", "start", vmName, "--name", "poweroff", "--", "poweroff")
	vm := await(t, events, func(e banger.Event) bool {
		return e.VM != nil && (e.VM.State == banger.VMStopped || e.VM.State == banger.VMFailed)
	}).VM
	if vm.State != banger.VMStopped || vm.LastError != "" {
		t.Errorf("VM is %s: %s", vm.State, vm.LastError)
	}
}

// await reads events until one is as wanted.
func await(t *testing.T, events *json.Decoder, wanted func(banger.Event) bool) banger.Event {
	t.Helper()
	for {
		var e banger.Event
		if err := events.Decode(&e); err != nil {
			t.Fatalf("the events ended: %v", err)
		}
		if wanted(e) {
			return e
		}
	}
}

func TestVM_LostMachineIsNoticed(t *testing.T) {
	i := sharedVM(t)
	vm := installation.JSON[banger.VM](t, i, "vm", "show", vmName)
	i.MustRun(t, "session", "start", vmName, "--name", "lost", "--", "sleep", "1000")
	i.KillMachine(t, vm)
	if r := i.Run(t, "session", "wait", vmName, "lost"); r.Code != 125 {
		t.Errorf("waiting for a session of a lost machine: %s", r)
	}
	x := show(t, i, "lost")
	if x.Status != banger.StatusFailed || x.EndedBy != banger.EndedByVMLost {
		t.Errorf("%+v", x.SessionState)
	}
	i.MustRun(t, "vm", "start", vmName)
	x = show(t, i, "lost")
	if x.Status != banger.StatusFailed || x.EndedBy != banger.EndedByVMLost {
		t.Errorf("after the restart: %+v", x.SessionState)
	}
}

func TestVM_ClockThatStoodStillIsSet(t *testing.T) {
	i := sharedVM(t)
	i.MustRun(t, "vm", "ssh", vmName, "--", "date", "-s", "@1000000000")
	i.KillDaemon(t) // the link comes up again
	i.MustRun(t, "session", "start", vmName, "--name", "clock", "--", "date", "+%s")
	i.MustRun(t, "session", "wait", vmName, "clock")
	got, err := strconv.ParseInt(strings.TrimSpace(i.MustRun(t, "session", "logs", vmName, "clock")), 10, 64)
	if d := time.Since(time.Unix(got, 0)); err != nil || d.Abs() > time.Hour {
		t.Errorf("the guest's clock is wrong by %s, %v", d, err)
	}
}
