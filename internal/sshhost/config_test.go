//go:build !unit

package sshhost_test

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/sshhost"
)

// resolve is what a configuration makes of a target.
func (u *visitor) resolve(t *testing.T, target sshhost.Target, blocks ...string) *sshhost.Resolved {
	t.Helper()
	u.configure(t, blocks...)
	r, err := u.Resolve(t.Context(), target)
	if err != nil {
		t.Fatalf("%v (%s)", err, hint(err))
	}
	return r
}

func TestResolve_SaysWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	box := sshhost.Target{Host: "box"}
	included := writeFile(t, u.file("included file"), "Host box\n User included\n")
	for name, x := range map[string]struct {
		target sshhost.Target
		config string
		of     func(*sshhost.Resolved) any
		want   any
	}{
		"defaults":              {box, "", func(r *sshhost.Resolved) any { return r.User + "@" + r.Address() }, me.Username + "@box:22"},
		"the first value":       {box, "Host box\n Port 1\nHost *\n Port 2", func(r *sshhost.Resolved) any { return r.Port }, 1},
		"negated":               {box, "Host * !b?x\n Port 1\nHost b*\n Port 2", func(r *sshhost.Resolved) any { return r.Port }, 2},
		"the target first":      {sshhost.Target{User: "a b", Host: "box", Port: 3}, "User x\nPort 1", func(r *sshhost.Resolved) any { return r.User + "@" + r.Address() }, "a b@box:3"},
		"tabs, = and case":      {box, "hOST\tother\tbox\n\tpORT=7", func(r *sshhost.Resolved) any { return r.Port }, 7},
		"HostName of a pattern": {box, "Host b*\n HostName %h.example.com", func(r *sshhost.Resolved) any { return r.HostName }, "box.example.com"},
		"Include":               {box, "Include \"" + included + "\"\nUser x", func(r *sshhost.Resolved) any { return r.User }, "included"},
		"Include in a block":    {box, "Host other\n Include \"" + included + "\"\nHost *\n User x", func(r *sshhost.Resolved) any { return r.User }, "x"},
		"Match":                 {box, "Match host box user root\n Port 5\nMatch all\n Port 6", func(r *sshhost.Resolved) any { return r.Port }, map[bool]int{true: 5, false: 6}[me.Username == "root"]},
		"Match exec":            {box, "Match exec \"test %n = box\"\n Port 5", func(r *sshhost.Resolved) any { return r.Port }, 5},
		"tokens": {box, "Host box\n HostName h\n Port 9\n User u\n HostKeyAlias k\n IdentityFile %d/%h/%i/%k/%n/%p/%r/%u/%%",
			func(r *sshhost.Resolved) any { return r.IdentityFiles },
			[]string{u.home + "/h/" + me.Uid + "/k/box/9/u/" + me.Username + "/%"}},
		"quotes and ~": {box, "IdentityFile \"~/my keys/#1\" # a comment\nIdentityFile ~root/x\nCertificateFile ~/c", func(r *sshhost.Resolved) any { return append(r.IdentityFiles, r.CertificateFiles...) },
			[]string{u.home + "/my keys/#1", "/root/x", u.home + "/c"}},
		"identity of the target": {sshhost.Target{Host: "box", IdentityFile: "/a %d"}, "IdentityFile /b", func(r *sshhost.Resolved) any { return r.IdentityFiles }, []string{"/a %d", "/b"}},
		"no identities":          {box, "IdentityFile none", func(r *sshhost.Resolved) any { return len(r.IdentityFiles) }, 0},
		"known_hosts":            {box, "UserKnownHostsFile \"/a b/c\" %d/d\nGlobalKnownHostsFile /e", func(r *sshhost.Resolved) any { return append(r.UserKnownHosts, r.GlobalKnownHosts...) }, []string{"/a b/c", me.HomeDir + "/d", "/e"}},
		"known_hosts none":       {box, "UserKnownHostsFile none", func(r *sshhost.Resolved) any { return len(r.UserKnownHosts) }, 0},
		"variables":              {box, "IdentityAgent ${PATH}\nIdentityFile /x", func(r *sshhost.Resolved) any { return r.IdentityAgent }, filepath.Clean(os.Getenv("PATH"))},
		"variable of an agent":   {box, "IdentityAgent $PATH", func(r *sshhost.Resolved) any { return r.IdentityAgent }, os.Getenv("PATH")},
		"the usual agent":        {box, "IdentityAgent SSH_AUTH_SOCK", func(r *sshhost.Resolved) any { return r.IdentityAgent }, "/nonexistent/agent"},
		"no agent":               {box, "IdentityAgent none", func(r *sshhost.Resolved) any { return r.IdentityAgent }, ""},
		"jumps":                  {box, "ProxyJump a@b,[::1]:3,%r@c:4", func(r *sshhost.Resolved) any { return r.ProxyJump }, []sshhost.Target{{User: "a", Host: "b"}, {Host: "::1", Port: 3}, {User: me.Username, Host: "c", Port: 4}}},
		"no jumps":               {box, "Host box\n ProxyJump none\nHost *\n ProxyJump a", func(r *sshhost.Resolved) any { return len(r.ProxyJump) }, 0},
		"command":                {box, "ProxyCommand nc \"%h\" %p # %%n", func(r *sshhost.Resolved) any { return r.ProxyCommand }, "nc \"box\" 22 # %n"},
		"checking":               {box, "StrictHostKeyChecking accept-new", func(r *sshhost.Resolved) any { return r.Checking }, sshhost.CheckAccept},
		"strict":                 {box, "StrictHostKeyChecking yes", func(r *sshhost.Resolved) any { return r.Checking }, sshhost.CheckStrict},
		"ask":                    {box, "", func(r *sshhost.Resolved) any { return r.Checking }, sshhost.CheckAsk},
		"time":                   {box, "ConnectTimeout 1m", func(r *sshhost.Resolved) any { return r.ConnectTimeout }, time.Minute},
		"yes":                    {box, "HashKnownHosts yes\nIdentitiesOnly yes", func(r *sshhost.Resolved) any { return []bool{r.HashKnownHosts, r.IdentitiesOnly} }, []bool{true, true}},
	} {
		r := u.resolve(t, x.target, x.config)
		if diff := cmp.Diff(x.want, x.of(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestResolve_ErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	for config, words := range map[string][]string{
		"User a\nUsr b":                      {u.ConfigFile + ": line 2", "usr"},
		"Port 22222222":                      {u.ConfigFile + " line 1"},
		"ProxyJump a:b:c":                    {u.ConfigFile + " line 1", "ProxyJump"},
		"IdentityFile %C":                    {"%C"},
		"IdentityFile %":                     {`"%"`},
		"IdentityFile ${BANGER_NO_SUCH}":     {"BANGER_NO_SUCH"},
		"IdentityFile ${BANGER":              {"not closed"},
		"IdentityFile ~no-such-user/x":       {"no-such-user"},
		"RevokedHostKeys /x":                 {"revokedhostkeys"},
		"KnownHostsCommand /x":               {"knownhostscommand"},
		"ProxyUseFdpass yes\nProxyCommand x": {"proxyusefdpass"},
		"Ciphers 3des-cbc\nMACs hmac-md5":    {"macs"},
	} {
		u.configure(t, config)
		_, err := u.Resolve(t.Context(), sshhost.Target{Host: "box"})
		if err == nil {
			t.Errorf("%q is no error", config)
			continue
		}
		wantError(t, err, banger.CodeInvalid, append(words, "box")...)
	}
	for _, target := range []sshhost.Target{{}, {Host: "-G"}, {Host: "a", User: "-x"}, {Host: "a", Port: 70000}, {Host: "a b"}} {
		if _, err := u.Resolve(t.Context(), target); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%+v: %v", target, err)
		}
	}
}

// As ssh, which asks the password file: docs/REMOTE.md.
func TestResolve_HOMEChangesNothing(t *testing.T) {
	want, err := new(sshhost.Dialer).Resolve(t.Context(), sshhost.Target{Host: "box.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(home, ".ssh", "config"), "Host box.invalid\n Port 77\n IdentityFile ~/key\n")
	t.Setenv("HOME", home)
	got, err := new(sshhost.Dialer).Resolve(t.Context(), sshhost.Target{Host: "box.invalid"})
	if err != nil {
		t.Fatal(err)
	}
	if got.Port != want.Port || !slices.Equal(got.UserKnownHosts, want.UserKnownHosts) || !slices.Equal(got.IdentityFiles, want.IdentityFiles) {
		t.Errorf("with another HOME: port %d, known hosts %v, keys %v", got.Port, got.UserKnownHosts, got.IdentityFiles)
	}
}
