package control

import (
	"os"
	"strings"
	"testing"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/guestapi"
)

// The login's environment is taken along without what belongs to one login, and bounded.
func TestEnvironment_OfTheLoginComesUnderTheLaunchesOwn(t *testing.T) {
	f := &preflight{login: []string{
		"http_proxy=http://proxy", "LANG=de_DE.UTF-8", "EMPTY=", "no variable", "=x", "KRB5CCNAME=FILE:/cc", "HOME=/elsewhere",
		"SSH_AUTH_SOCK=/s", "SSH_CONNECTION=1 2 3 4", "DISPLAY=:1", "TERM=dumb", "XDG_SESSION_ID=3", "INVOCATION_ID=x", "BANGER_SESSION_ID=other", "PWD=/",
		"HUGE=" + strings.Repeat("x", maxLogin), "LAST=y",
	}}
	me := passwd.User{Name: "jane", UID: uint32(os.Geteuid()), Home: "/home/jane", Shell: "/bin/sh"}
	l := guestapi.GuestLaunch{ID: banger.NewSessionID()}
	l.Env = map[string]banger.ByteString{"KRB5CCNAME": "FILE:/own"}
	l.TTY = true
	env := f.environment(l, me)
	for name, want := range map[string]string{
		"http_proxy": "http://proxy", "LANG": "de_DE.UTF-8", "EMPTY": "", "KRB5CCNAME": "FILE:/own", "HOME": "/elsewhere", "LAST": "y",
		"TERM": "xterm-256color", "BANGER_SESSION_ID": string(l.ID), "USER": "jane",
	} {
		if got, ok := env[name]; !ok || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"SSH_AUTH_SOCK", "SSH_CONNECTION", "DISPLAY", "XDG_SESSION_ID", "INVOCATION_ID", "PWD", "HUGE", "", "no variable"} {
		if got, ok := env[name]; ok {
			t.Errorf("%s is %.20q", name, got)
		}
	}
	other := me
	other.UID++
	if env := f.environment(l, other); env["http_proxy"] != "" || env["HOME"] != "/home/jane" {
		t.Errorf("another user has %q", env)
	}
}
