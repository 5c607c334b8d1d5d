package kvmlab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commandLimit ends what hangs in the lab, so that its test fails and not the run.
const commandLimit = 5 * time.Minute

// logIn opens a user's login, which lasts until logOut: one connection, as of a terminal.
func (l *lab) logIn(t *testing.T, user string) {
	t.Helper()
	// No pipes: the connection in the background would keep them open.
	if err := l.ssh(t, user, "-M", "-N", "-f", "-o", "LogLevel=ERROR").Run(); err != nil {
		t.Fatalf("%s cannot log in to the lab: %v", user, err)
	}
}

// logOut ends a user's login.
func (l *lab) logOut(t *testing.T, user string) {
	t.Helper()
	if out, err := l.ssh(t, user, "-O", "exit").CombinedOutput(); err != nil {
		t.Fatalf("%s cannot log out of the lab: %v\n%s", user, err, out)
	}
}

// as runs a script of the shell in the login of a user. It has to succeed; what it
// printed is returned.
func (l *lab) as(t *testing.T, user, script string, args ...string) string {
	t.Helper()
	cmd := l.command(t, user, append([]string{"sh", "-eus", "--"}, args...)...)
	cmd.Stdin = strings.NewReader(script)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("a script failed in the lab: %v\n%s\nstdout: %s\nstderr: %s", err, script, out, said.Bytes())
	}
	return string(out)
}

// root is as for root.
func (l *lab) root(t *testing.T, script string, args ...string) string {
	t.Helper()
	return l.as(t, "root", script, args...)
}

// command returns a command in the login of a user, which has not started.
func (l *lab) command(t *testing.T, user string, command ...string) *exec.Cmd {
	t.Helper()
	args := []string{"-T", "--", "export", trialLimit + ";"}
	for _, word := range command {
		args = append(args, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return l.ssh(t, user, args...)
}

// ssh returns ssh with a user of the lab and some arguments.
func (l *lab) ssh(t *testing.T, user string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, "ssh", append([]string{
		"-F", "none", "-i", l.path("key"), "-p", l.port, "-l", user, "-S", l.path(user),
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "127.0.0.1",
	}, args...)...)
}

// banger runs the user's banger, which has to succeed.
func (l *lab) banger(t *testing.T, args ...string) string {
	t.Helper()
	return l.as(t, labUser, `exec banger "$@"`, args...)
}

// lines follows what a command in the lab prints, until the test ends.
func (l *lab) lines(t *testing.T, user string, command ...string) *bufio.Scanner {
	t.Helper()
	cmd := l.command(t, user, command...)
	cmd.WaitDelay = time.Second // the login has these pipes too, until a command that is silent ends
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%q said: %s", command, said.Bytes())
		}
	})
	return bufio.NewScanner(out)
}

// decode returns what a command with --json printed.
func decode[T any](t *testing.T, printed string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(printed), &v); err != nil {
		t.Fatalf("%v in: %s", err, printed)
	}
	return v
}
