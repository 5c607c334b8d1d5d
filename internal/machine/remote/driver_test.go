//go:build !unit

package remote_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guest"
	"banger/internal/hosttest"
	"banger/internal/machine/machinetest"
	"banger/internal/machine/remote"
	"banger/internal/vmm"
)

// lab is a host, and the driver of a user whose configuration calls it lab.
type lab struct {
	*remote.Driver
	server *hosttest.SSHServer
	home   string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{server: hosttest.NewSSHServer(t, hosttest.SSHOptions{}), home: t.TempDir()}
	hosttest.NewSSHHome(t, l.home, l.server)
	l.Driver = hosttest.RemoteDriver(bin, l.home)
	return l
}

func (l *lab) probe(t *testing.T, a banger.RemoteAnswers) (vmm.Machine, error) {
	t.Helper()
	return l.Probe(t.Context(), banger.RemoteRequest{Name: "v", SSH: "lab", Answers: a})
}

func TestDriver_KeepsTheContract(t *testing.T) {
	l := newLab(t)
	machinetest.Run(t, machinetest.Factory{
		Can:    []banger.Capability{banger.CanUnlock},
		Driver: func(*testing.T) vmm.Driver { return hosttest.RemoteDriver(bin, l.home) },
		Greet: func(ctx context.Context, m vmm.Machine) error {
			client, err := m.(guest.Host).Login(ctx)
			if err != nil {
				return err
			}
			return client.Close()
		},
		Boot: 30 * time.Second,
		Enroller: machinetest.Enroller{
			Host:     banger.RemoteRequest{Name: "v", SSH: "lab"},
			Refusing: banger.RemoteRequest{Name: "v", SSH: "nobody@lab"},
		},
	})
}

// wantQuestion returns the question that an error has, with a hint for a caller that is not asked.
func wantQuestion(t *testing.T, err error, kind banger.QuestionKind) banger.Question {
	t.Helper()
	e, ok := errors.AsType[*banger.Error](err)
	if !ok || e.Code != banger.CodeQuestion || e.Question == nil || e.Question.Kind != kind || e.Hint == "" || e.Message == "" {
		t.Fatalf("%v is no question for %s with a hint", err, kind)
	}
	return *e.Question
}

func TestProbe_AnUnknownHostKeyIsAQuestion(t *testing.T) {
	l := newLab(t)
	known := filepath.Join(l.home, ".ssh", "known_hosts")
	if err := os.Remove(known); err != nil {
		t.Fatal(err)
	}
	_, err := l.probe(t, banger.RemoteAnswers{})
	q := wantQuestion(t, err, banger.AskHostKey)
	key, _, _, _, parseErr := ssh.ParseAuthorizedKey([]byte(l.server.KnownHosts()[strings.Index(l.server.KnownHosts(), "ssh-ed25519"):]))
	if parseErr != nil {
		t.Fatal(parseErr)
	}
	want := banger.Question{Kind: banger.AskHostKey, Subject: q.Subject, Fingerprint: ssh.FingerprintSHA256(key), KeyType: "ssh-ed25519"}
	if q != want || !strings.Contains(q.Subject, "127.0.0.1") {
		t.Errorf("asked %+v, want %+v", q, want)
	}
	_, err = l.probe(t, banger.RemoteAnswers{HostKeys: []string{"SHA256:other"}})
	wantQuestion(t, err, banger.AskHostKey)
	if _, err := l.probe(t, banger.RemoteAnswers{HostKeys: []string{q.Fingerprint}}); err != nil {
		t.Error(err)
	}
	// It is known from now on, to ssh too.
	if _, err := l.probe(t, banger.RemoteAnswers{}); err != nil {
		t.Error(err)
	}
}

func TestProbe_APassphraseIsAQuestionOnce(t *testing.T) {
	l := newLab(t)
	key := l.server.Key()
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-p", "-f", key, "-N", " op en ").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_, err := l.probe(t, banger.RemoteAnswers{})
	if q := wantQuestion(t, err, banger.AskPassphrase); q.Subject != key || q.Again {
		t.Errorf("asked %+v", q)
	}
	_, err = l.probe(t, banger.RemoteAnswers{Passphrases: map[string]string{key: "wrong"}})
	if q := wantQuestion(t, err, banger.AskPassphrase); q.Subject != key || !q.Again {
		t.Errorf("asked %+v", q)
	}
	_, err = l.probe(t, banger.RemoteAnswers{})
	if q := wantQuestion(t, err, banger.AskPassphrase); q.Again {
		t.Errorf("a wrong answer was kept: asked %+v", q)
	}
	m, err := l.probe(t, banger.RemoteAnswers{Passphrases: map[string]string{key: " op en "}})
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"the right answer", "an adopted machine"} {
		client, err := m.(guest.Host).Login(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		client.Close()
		if m, err = l.Adopt(t.Context(), m.Ref()); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(string(m.Ref()), "op en") {
		t.Errorf("the passphrase would be stored: %s", m.Ref())
	}
	// Another daemon has to ask again.
	adopted, err := hosttest.RemoteDriver(bin, l.home).Adopt(t.Context(), m.Ref())
	if err != nil {
		t.Fatal(err)
	}
	_, err = adopted.(guest.Host).Login(t.Context())
	wantQuestion(t, err, banger.AskPassphrase)
}

func TestProbe_WhatIsNoQuestionKeepsItsCode(t *testing.T) {
	l := newLab(t)
	for target, code := range map[string]banger.Code{
		"": banger.CodeInvalid, "-oProxyCommand=x": banger.CodeInvalid, "lab:0": banger.CodeInvalid, "no-such-user@lab": banger.CodeMissing,
	} {
		_, err := l.Probe(t.Context(), banger.RemoteRequest{Name: "v", SSH: target})
		if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != code || e.Question != nil || e.Hint == "" {
			t.Errorf("%q: %v; want %s and a hint", target, err, code)
		}
	}
}
