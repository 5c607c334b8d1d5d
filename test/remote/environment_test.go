package remote

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
	"banger/test/wait"
)

// A session has what a command by ssh has of its login's environment, except what means
// nothing when that login has ended; it is fresh with each login, in no record, and the
// launch's own comes over it.
func TestRemote_SessionsHaveTheEnvironmentOfTheLogin(t *testing.T) {
	t.Parallel()
	const secret = "http://user:s3cret-of-the-login@proxy.example:3128"
	r := newRig(t, hosttest.SSHOptions{
		Lines: []string{"SetEnv http_proxy=" + secret + " KRB5CCNAME=FILE:/tmp/cc LC_TIME=en_DK.UTF-8 XDG_SESSION_ID=7 DISPLAY=:10 SSH_AUTH_SOCK=/tmp/agent TMUX=x"},
		Setup: `[ -e "$home/.bashrc" ] || echo 'export FROM_RC=first DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus' > "$home/.bashrc"`,
	})
	r.mustAdd()
	environment := func(name string, own map[string]banger.ByteString) map[string]string {
		t.Helper()
		_, err := r.StartSession(t.Context(), "v", banger.SessionRequest{Name: name, Launch: banger.Launch{Command: "env", Env: own}})
		if err != nil {
			t.Fatal(err)
		}
		r.wait(name)
		all := map[string]string{}
		for line := range strings.Lines(r.log(name)) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			all[key] = value
		}
		return all
	}
	got := environment("one", map[string]banger.ByteString{"KRB5CCNAME": "FILE:/own"})
	for name, want := range map[string]string{
		"http_proxy": secret, "KRB5CCNAME": "FILE:/own", "LC_TIME": "en_DK.UTF-8", "FROM_RC": "first",
		"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/bus", "BANGER_SESSION_NAME": "one",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name := range got {
		if strings.HasPrefix(name, "SSH_") || name == "XDG_SESSION_ID" || name == "DISPLAY" || name == "TMUX" || name == "SHLVL" || name == "PWD" {
			t.Errorf("%s is there, which belongs to one login", name)
		}
	}

	if err := os.WriteFile(filepath.Join(r.server.Home, ".bashrc"), []byte("export FROM_RC=second\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.server.Cut()
	wait.For(t, "the next login", func() bool {
		return environment("again"+string(banger.NewSessionID())[:6], nil)["FROM_RC"] == "second"
	})

	err := filepath.WalkDir(r.server.Home, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.Contains(path, "/agent/") || strings.HasPrefix(e.Name(), "stdout") || strings.HasPrefix(e.Name(), "journal") {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), "s3cret-of-the-login") {
			t.Errorf("%s has a value of the login's environment", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
