package cli

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/client"
	"banger/internal/agent/sshd"
	"banger/internal/hosttest"
	"banger/internal/paths"
	"banger/internal/version"
)

func testAccess() banger.SSHAccess {
	return banger.SSHAccess{User: "root", Host: "127.0.0.1", Port: 40022,
		IdentityFile: "/a b/100%/key", KnownHostsFile: "/a b/known\"hosts", HostKeyAlias: "dev"}
}

// runAsCLI is an environment variable that makes this test binary the CLI with
// a fake backend, or, with a socket's path as its value, with the daemon there: vm ssh replaces the process, and signals are for all of it.
const runAsCLI = "BANGER_TEST_RUN_AS_CLI"

// bin holds the guest's programs; TestMain sets it once.
var bin hosttest.Binaries

func TestMain(m *testing.M) {
	if os.Getenv(runAsCLI) == "" {
		os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
	}
	ctx, stop := WithSignals(context.Background())
	var backend Backend = &fake{access: testAccess(), asks: true}
	if socket := os.Getenv(runAsCLI); socket != "1" {
		// As hosttest has it: the socket is state/run/banger.sock, beside config.
		installation := paths.Paths{Config: filepath.Join(filepath.Dir(socket), "..", "..", "config")}
		backend = reachable{client.New(socket, version.String()), installation}
	}
	c := CLI{Backend: backend, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, ServeSSH: serveSSH}
	status := c.Run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// serveSSH is what cmd/banger has.
func serveSSH(ctx context.Context, conn net.Conn, s SSHSession) {
	sshd.New(sshd.Config{
		HostKey: s.HostKey, AuthorizedKeys: []ssh.PublicKey{s.Client},
		Only: &sshd.Only{Command: s.Command}, Logger: slog.New(slog.DiscardHandler),
	}).ServeConn(ctx, conn)
}

// runCLI runs a command line in a process of its own, with path as its PATH.
func runCLI(t *testing.T, path string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), runAsCLI+"=1", "PATH="+path)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestVMSSH_BecomesTheUsersSSHWithEverythingAfterTheVM(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\nprintf '<%s>\\n' \"$@\"\nexit 7\n"
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"dev":                               "<dev>",
		"dev ls -l --json":                  "<dev> <--> <ls> <-l> <--json>",
		"dev -- ls":                         "<dev> <--> <ls>",
		"-- dev -v":                         "<dev> <--> <-v>",
		"-l me dev rsync --server -e.x . /": "<dev> <--> <rsync> <--server> <-e.x> <.> </>",
	} {
		stdout, stderr, status := runCLI(t, dir, append([]string{"vm", "ssh"}, strings.Fields(line)...)...)
		words := strings.Fields(stdout)
		if i := slices.Index(words, "<dev>"); status != 7 || i < 0 || strings.Join(words[i:], " ") != want {
			t.Errorf("%s: exit status %d, %s%s", line, status, stdout, stderr)
		}
		if strings.HasPrefix(line, "-l me") && !strings.Contains(stdout, `<User="me">`) {
			t.Errorf("-l is not the user: %s", stdout)
		}
	}
}

// A remote host is the user's own: ssh decides all that the command line does not say.
func TestVMSSH_LeavesARemoteHostToTheUsersConfiguration(t *testing.T) {
	lab := banger.SSHAccess{Destination: "me@lab:2222"}
	withKey := banger.SSHAccess{Destination: "lab", IdentityFile: "/a b/100%", User: "you"}
	for _, c := range []struct {
		access           banger.SSHAccess
		options, command string
		want             string
	}{
		{access: lab, want: "-l me -p 2222 lab"},
		{access: banger.SSHAccess{Destination: "ssh://[::1]:22"}, want: "-p 22 ::1"},
		{access: lab, command: "ls -l", want: "-l me -p 2222 lab -- ls -l"},
		{access: lab, command: "-- -v", want: "-l me -p 2222 lab -- -v"},
		{access: lab, options: "ForwardAgent=yes Compression=no", want: "-o ForwardAgent=yes -o Compression=no -l me -p 2222 lab"},
		{access: withKey, want: `-o IdentityFile="/a b/100%%" -l you lab`},
	} {
		got, err := remoteArguments(c.access, strings.Fields(c.options), strings.Fields(c.command))
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%+v: ssh %s, %v; want ssh %s", c.access, strings.Join(got, " "), err, c.want)
		}
	}
	if _, err := remoteArguments(banger.SSHAccess{Destination: "-oProxyCommand=x"}, nil, nil); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("a host that is an option: %v", err)
	}
}

// What is said of the destination, ssh itself must read so.
func TestVMSSH_SSHUnderstandsARemoteHost(t *testing.T) {
	for destination, want := range map[string]string{
		"me@lab:2222": "me lab 2222", "lab": "you lab 22", "[::1]:2200": "you ::1 2200", "::1": "you ::1 22", "me@10.0.0.7": "me 10.0.0.7 22",
	} {
		var options []string
		if !strings.Contains(destination, "@") {
			options = []string{"User=you"}
		}
		args, err := remoteArguments(banger.SSHAccess{Destination: destination}, options, nil)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ssh", append([]string{"-G", "-F", "none"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", destination, err, out)
		}
		said := map[string]string{}
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			said[key] = value
		}
		if got := said["user"] + " " + said["hostname"] + " " + said["port"]; got != want {
			t.Errorf("%s: ssh reads %q, want %q", destination, got, want)
		}
	}
}

func TestVMSSH_WithoutAClientNamesThePackage(t *testing.T) {
	_, stderr, status := runCLI(t, t.TempDir(), "vm", "ssh", "dev")
	if status != 125 || !strings.Contains(stderr, "openssh-client") {
		t.Errorf("exit status %d, %s", status, stderr)
	}
}

// The user's configuration is as hostile as can be; ssh itself says what it
// makes of it.
func TestVMSSH_TheUsersConfigurationCannotDecideWhoTheGuestIs(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte(`Host *
  HostName example.org
  Port 1
  User somebody
  ProxyJump elsewhere
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  HostKeyAlias other
  ForwardAgent yes
  ControlPath /tmp/x
  Compression yes
`), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-G", "-F", config}, sshArguments(testAccess(), []string{"ServerAliveInterval=9"}, nil)...)
	out, err := exec.CommandContext(t.Context(), "ssh", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, seen := got[key]; !seen {
			got[key] = value
		}
	}
	want := map[string]string{
		"hostname": "127.0.0.1", "port": "40022", "user": "root", "identityfile": "/a b/100%%/key",
		"identitiesonly": "yes", "hostkeyalias": "dev", "userknownhostsfile": `/a b/known"hosts`,
		"globalknownhostsfile": "/dev/null", "stricthostkeychecking": "true", "proxyjump": "",
		"proxycommand": "", "controlpath": "", "forwardagent": "no", "forwardx11": "no",
		"compression": "yes", "serveraliveinterval": "9",
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			delete(got, key)
		}
	}
	for _, absent := range []string{"proxyjump", "proxycommand", "controlpath"} {
		if got[absent] == "none" {
			got[absent] = ""
		}
	}
	for key, value := range want {
		if value == "" && got[key] == "" {
			delete(want, key)
			delete(got, key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ssh would use (-want +got):\n%s", diff)
	}
}
