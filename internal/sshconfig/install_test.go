package sshconfig_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/internal/sshconfig"
)

// installation is one in a home of the test's, whose names ssh has to be told with care.
func installation(t *testing.T) (sshconfig.Installation, sshconfig.Options) {
	t.Helper()
	home := t.TempDir()
	return sshconfig.Installation{
		UserConfig: filepath.Join(home, ".ssh", "config"),
		File:       filepath.Join(home, `a "b" [c]*?`, "ssh_config"),
	}, sshconfig.Options{Program: filepath.Join(home, `it's 100% "here"`, "banger"), IdentityFile: filepath.Join(home, "a 100% key"), User: "image-user"}
}

// write makes the user's configuration.
func write(t *testing.T, path, data string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// dump is what ssh itself makes of a configuration; the first value of each setting.
func dump(t *testing.T, config, host string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh", "-G", "-F", config, host).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -G: %v: %s", err, out)
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, seen := settings[key]; !seen {
			settings[key] = value
		}
	}
	return settings
}

// Each of these is a configuration as a user may have it. Every byte of it stays, and comes
// back; what it says for all hosts does not apply to VMs.
func TestInstall_ChangesOneLineAndUninstallTakesItBack(t *testing.T) {
	catchAll := "Host *\n  User somebody\n  Port 2222\n  ProxyJump elsewhere\n  IdentityFile /k\n  ControlMaster auto\n  ControlPath /tmp/x\n  ControlPersist 1h\n" +
		"  UserKnownHostsFile /old\n  StrictHostKeyChecking no\n  ConnectTimeout 3\n  ForwardAgent yes\n  KnownHostsCommand /bin/false\n"
	for name, c := range map[string]struct {
		data string
		mode os.FileMode
	}{
		"ends in a Host block":   {"# mine\nHost a\n  HostName b\n", 0o600},
		"a catch-all first":      {catchAll, 0o644},
		"settings for all hosts": {"User somebody\nPort 2222\nControlPath /tmp/x\n", 0o600},
		"no final newline":       {"Host a\n  HostName b", 0o600},
		"CRLF":                   {"# mine\r\nHost a\r\n  HostName b\r\n", 0o600},
		"empty":                  {"", 0o640},
		"a Match first":          {"Match host other\n  User x\n\n\n# end", 0o600},
		"an Include of others":   {"Include config.d/*\n\tHost\tx y\n", 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			i, o := installation(t)
			write(t, i.UserConfig, c.data, c.mode)
			for range 2 {
				if err := i.Install(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			first, rest, _ := strings.Cut(read(t, i.UserConfig), "\n")
			if !strings.HasPrefix(first, "Include ") || rest != c.data {
				t.Errorf("the configuration has become %q and %q", first, rest)
			}
			if strings.Contains(c.data, "\r\n") != strings.HasSuffix(first, "\r") {
				t.Errorf("the first line is %q", first)
			}
			checkSettings(t, i, o)
			if info, err := os.Stat(i.UserConfig); err != nil || info.Mode() != c.mode {
				t.Errorf("mode %v, %v; want %v", info.Mode(), err, c.mode)
			}
			for range 2 {
				if err := i.Uninstall(); err != nil {
					t.Fatal(err)
				}
			}
			if got := read(t, i.UserConfig); got != c.data {
				t.Errorf("uninstalled: %q, want %q", got, c.data)
			}
			if _, err := os.Stat(i.File); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("our file: %v", err)
			}
		})
	}
}

// checkSettings asks ssh what it would do for a VM.
func checkSettings(t *testing.T, i sshconfig.Installation, o sshconfig.Options) {
	t.Helper()
	got := dump(t, i.UserConfig, "web.banger")
	for key, want := range map[string]string{
		"user": o.User, "port": "22", "hostname": "web.banger", "identityfile": strings.ReplaceAll(o.IdentityFile, "%", "%%"), "identitiesonly": "yes",
		"userknownhostsfile": "/dev/null", "globalknownhostsfile": "/dev/null", "stricthostkeychecking": "true",
		"connecttimeout": "0", "controlmaster": "false", "forwardagent": "no",
	} {
		if got[key] != want {
			t.Errorf("ssh has %s %q, want %q", key, got[key], want)
		}
	}
	if _, shared := got["controlpath"]; shared && got["controlpath"] != "none" {
		t.Errorf("ssh keeps connections at %s", got["controlpath"])
	}
	for _, key := range []string{"proxycommand", "knownhostscommand"} {
		if !strings.Contains(got[key], " ssh-") {
			t.Errorf("ssh has %s %q", key, got[key])
		}
	}
}

func TestInstall_WithoutAConfigurationLeavesNoneBehind(t *testing.T) {
	i, o := installation(t)
	for range 2 {
		if err := i.Install(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	checkSettings(t, i, o)
	for path, want := range map[string]os.FileMode{i.UserConfig: 0o600, i.File: 0o600, filepath.Dir(i.UserConfig): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
	if err := i.Uninstall(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{i.UserConfig, i.File} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What the user has added meanwhile stays, in a file that we made, too.
func TestUninstall_KeepsWhatWasAddedMeanwhile(t *testing.T) {
	i, o := installation(t)
	if err := i.Install(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	const added = "Host a\n  User b\n"
	write(t, i.UserConfig, read(t, i.UserConfig)+added, 0o600)
	if err := i.Uninstall(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, i.UserConfig); got != added {
		t.Errorf("uninstalled: %q", got)
	}
}

func TestInstall_FollowsALinkIntoADotfilesDirectory(t *testing.T) {
	i, o := installation(t)
	target := filepath.Join(t.TempDir(), "dotfiles", "ssh.conf")
	write(t, target, "Host a\n", 0o640)
	if err := os.MkdirAll(filepath.Dir(i.UserConfig), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, i.UserConfig); err != nil {
		t.Fatal(err)
	}
	if err := i.Install(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	checkSettings(t, i, o)
	if got, err := os.Readlink(i.UserConfig); err != nil || got != target {
		t.Errorf("the link is %q, %v", got, err)
	}
	if err := i.Uninstall(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, target); got != "Host a\n" {
		t.Errorf("uninstalled: %q", got)
	}
}

// What cannot be done leaves everything as it was, with a hint.
func TestInstall_WhatItCannotDoChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		mode os.FileMode
		says string
	}{
		"a read-only file":          {"Host a\n", 0o400, "read-only"},
		"a file that ssh refuses":   {"NoSuchOption x\n", 0o600, "refuses"},
		"more than a configuration": {strings.Repeat("#\n", 4<<20), 0o600, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			i, o := installation(t)
			write(t, i.UserConfig, c.data, c.mode)
			err := i.Install(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("installed: %v", err)
			}
			if info, _ := os.Stat(i.UserConfig); read(t, i.UserConfig) != c.data || info.Mode() != c.mode {
				t.Error("the configuration has changed")
			}
			if _, err := os.Stat(i.File); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("our file: %v", err)
			}
		})
	}
}

func TestUninstall_OfAReadOnlyFileSaysSoAndRemovesNothing(t *testing.T) {
	i, o := installation(t)
	write(t, i.UserConfig, "Host a\n", 0o600)
	if err := i.Install(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(i.UserConfig, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := i.Uninstall(); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("uninstalled: %v", err)
	}
	checkSettings(t, i, o)
}

func TestInstall_WithoutSSHNamesThePackage(t *testing.T) {
	i, o := installation(t)
	t.Setenv("PATH", t.TempDir())
	if err := i.Install(t.Context(), o); banger.CodeOf(err) != banger.CodeMissing {
		t.Errorf("installed: %v", err)
	}
	if _, err := os.Stat(i.UserConfig); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the configuration: %v", err)
	}
}

// A name with a quote would end the quotes of the ProxyCommand. The ssh of these tests may
// refuse such names itself, so it is asked about a pattern like ours that excludes others.
func TestText_IsNotForNamesWithAQuote(t *testing.T) {
	_, o := installation(t)
	text, err := o.Text()
	if err != nil {
		t.Fatal(err)
	}
	const excluded = `"!*'*"`
	if !strings.Contains(text, "Host *.banger "+excluded+"\n") {
		t.Fatalf("names with a quote are not excluded:\n%s", text)
	}
	config := filepath.Join(t.TempDir(), "config")
	write(t, config, strings.Replace(text, excluded, `"!*q'*" "!*quote*"`, 1), 0o600)
	if got := dump(t, config, "a-quote.banger")["proxycommand"]; got != "" {
		t.Errorf("ssh would run %s", got)
	}
	if got := dump(t, config, "WEB.banger")["proxycommand"]; got == "" {
		t.Error("ssh has no proxy for a name in upper case")
	}
}

func TestText_RefusesPathsThatAreNoLine(t *testing.T) {
	_, o := installation(t)
	o.Program = "/a\nProxyCommand evil"
	if _, err := o.Text(); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("a path with a newline: %v", err)
	}
}
