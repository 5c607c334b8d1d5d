package sshhost_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"banger/internal/sshhost"
)

func TestFingerprint_ChangesWithWhatALoginDependsOn(t *testing.T) {
	home := t.TempDir()
	dir, err := os.MkdirTemp("", "b-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	files := filepath.Join(home, ".ssh")
	if err := os.Mkdir(files, 0o700); err != nil {
		t.Fatal(err)
	}
	listen := func(path string) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dialer := sshhost.Dialer{Home: home, AgentSocket: filepath.Join(dir, "agent")}
	target := sshhost.Target{Host: "lab", IdentityFile: filepath.Join(dir, "key")}
	answers := sshhost.Answers{}
	last := dialer.Fingerprint(target, answers)
	for _, c := range []struct {
		what    string
		do      func()
		changes bool
	}{
		{"nothing", func() {}, false},
		{"a configuration", func() { write(filepath.Join(files, "config"), "Host lab\n") }, true},
		{"a known host", func() { write(filepath.Join(files, "known_hosts"), "lab ssh-ed25519 AAAA\n") }, true},
		{"another known host", func() { write(filepath.Join(files, "known_hosts"), "lab ssh-ed25519 AAAABBBB\n") }, true},
		{"the mode of a key", func() { write(target.IdentityFile, "key") }, true},
		{"who may read it", func() { _ = os.Chmod(target.IdentityFile, 0o644) }, true},
		{"a shared connection", func() { listen(filepath.Join(dir, "cm")); listen(filepath.Join(files, "m")) }, false},
		{"an agent", func() { listen(filepath.Join(dir, "agent")) }, true},
		{"a passphrase", func() { answers.Passphrases = map[string]string{"k": "p"} }, true},
		{"no key", func() { os.Remove(target.IdentityFile) }, true},
	} {
		c.do()
		now := dialer.Fingerprint(target, answers)
		if (now != last) != c.changes {
			t.Errorf("%s: it has changed: %t", c.what, now != last)
		}
		last = now
	}
}
