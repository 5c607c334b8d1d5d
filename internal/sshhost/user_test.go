package sshhost_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/sshhost"
)

// waitLimit is how long a test waits for what must come.
const waitLimit = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// visitor is somebody with a home directory.
type visitor struct {
	*sshhost.Dialer
	home string
}

// newUser makes one who has nothing.
func newUser(t *testing.T) *visitor {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	u := &visitor{home: home}
	u.Dialer = &sshhost.Dialer{Home: home, ConfigFile: u.file("config"), AgentSocket: "/nonexistent/agent"}
	u.configure(t)
	return u
}

// file is a path in the user's .ssh.
func (u *visitor) file(name string) string { return filepath.Join(u.home, ".ssh", name) }

// configure replaces the configuration. What it does not say is that files are in
// the user's home, and that there is no agent.
func (u *visitor) configure(t *testing.T, blocks ...string) {
	t.Helper()
	writeFile(t, u.ConfigFile, strings.Join(blocks, "\n")+"\nHost *\n UserKnownHostsFile "+u.knownHosts()+
		"\n GlobalKnownHostsFile none\n IdentityAgent none\n")
}

func (u *visitor) knownHosts() string { return u.file("known_hosts") }

// key makes a key in the user's .ssh.
func (u *visitor) key(t *testing.T, name string) string {
	t.Helper()
	return makeKey(t, u.file(name), "ed25519", "")
}

// knows makes the user know hosts.
func (u *visitor) knows(t *testing.T, servers ...*server) {
	t.Helper()
	lines := readFile(t, u.knownHosts())
	for _, s := range servers {
		for _, key := range s.hostKeys {
			lines += s.knownLine(t, key)
		}
	}
	writeFile(t, u.knownHosts(), lines)
}

// dial logs in.
func (u *visitor) dial(t *testing.T, host string, a sshhost.Answers) (*ssh.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	return u.Dial(ctx, sshhost.Target{Host: host}, a)
}

// wantIn logs in, runs a command and hangs up.
func (u *visitor) wantIn(t *testing.T, host string, a sshhost.Answers) {
	t.Helper()
	client, err := u.dial(t, host, a)
	if err != nil {
		t.Fatalf("%v (%s)", err, hint(err))
	}
	defer client.Close()
	wantCommand(t, client)
}

func wantCommand(t *testing.T, client *ssh.Client) {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := session.Output("echo it works"); err != nil || string(out) != "it works\n" {
		t.Errorf("the command says %q, %v", out, err)
	}
}

// wantRefused does not get in: the error has the code, a hint, and the words.
func (u *visitor) wantRefused(t *testing.T, host string, a sshhost.Answers, code banger.Code, words ...string) {
	t.Helper()
	client, err := u.dial(t, host, a)
	if err == nil {
		client.Close()
		t.Fatal("it got in")
	}
	wantError(t, err, code, words...)
}

// wantAsked does not get in but is asked.
func (u *visitor) wantAsked(t *testing.T, host string, a sshhost.Answers) sshhost.Question {
	t.Helper()
	client, err := u.dial(t, host, a)
	if err == nil {
		client.Close()
		t.Fatal("it got in without an answer")
	}
	asked, ok := errors.AsType[*sshhost.QuestionError](err)
	if !ok {
		t.Fatalf("%v (%s): not a question", err, hint(err))
	}
	wantError(t, err, banger.CodeMissing, asked.Subject)
	return asked.Question
}

func wantError(t *testing.T, err error, code banger.Code, words ...string) {
	t.Helper()
	if banger.CodeOf(err) != code || hint(err) == "" {
		t.Errorf("%v has code %s and hint %q, want code %s and a hint", err, banger.CodeOf(err), hint(err), code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not tell %q", err, word)
		}
	}
}

func hint(err error) string {
	if e, ok := errors.AsType[*banger.Error](err); ok {
		return e.Hint
	}
	return ""
}

// none are no answers.
func none() sshhost.Answers { return sshhost.Answers{} }
