//go:build !unit

package cli

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"banger"
)

// ofImage has the one VM be of an image with this configuration.
func (l *live) ofImage(config *banger.ImageConfig) {
	l.t.Helper()
	vms, err := l.Store.VMs.ListVMs(l.t.Context())
	if err == nil {
		_, err = l.Store.VMs.UpdateVM(l.t.Context(), vms[0].ID, func(vm *banger.VM) error { vm.ImageConfig = config; return nil })
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// What the author of an image has chosen is how sessions of its VMs run, in a real guest.
func TestSessionStart_RunsAsTheImageOfItsVMSays(t *testing.T) {
	l := newLive(t)
	config := &banger.ImageConfig{
		Entrypoint: []string{"/bin/sh", "-c", `echo "$0|$*|$GREETING|$OWN|$PWD|$(id -u):$(id -g):$(id -G)"`}, Cmd: []string{"a b", "c"},
		Env: []string{"GREETING=good  'morning'", "OWN=image's"}, User: "12345:54321", WorkingDir: "/usr",
	}
	l.ofImage(config)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--attach"}, "a b|c|good  'morning'|image's|/usr|12345:54321:54321\n"},
		{[]string{"--attach", "--env", "OWN=mine", "--user", "0", "--cwd", "/"}, "a b|c|good  'morning'|mine|/|0:0:0\n"},
		{[]string{"--attach", "--", "/bin/sh", "-c", `echo "$GREETING" $(id -u)`}, "good  'morning' 12345\n"},
	} {
		cmd := l.start(append([]string{"session", "start", "dev"}, c.args...)...)
		if status := cmd.wait(); status != 0 || cmd.stdout.String() != c.want {
			t.Errorf("%q: status %d, %q, %s; want %q", c.args, status, cmd.stdout.String(), cmd.stderr.String(), c.want)
		}
	}
	config.Entrypoint, config.Cmd = nil, nil
	l.ofImage(config)
	cmd := l.start("session", "start", "dev")
	if status := cmd.wait(); status != 2 {
		t.Errorf("without any command: status %d, %s", status, cmd.stderr.String())
	}
}

// A database ends in order at one signal and not at another: what its image says counts.
func TestSessionStop_SendsTheSignalOfTheImage(t *testing.T) {
	l := newLive(t)
	config := &banger.ImageConfig{Cmd: []string{"/bin/bash", "-c", "trap 'exit 9' TERM; trap 'exit 4' RTMIN+3 INT; echo ready; while :; do sleep 1000 & wait; done"}, StopSignal: "37"}
	l.ofImage(config)
	for i, c := range []struct {
		flags  []string
		signal string
		code   int
	}{{nil, "SIGRTMIN+3", 4}, {[]string{"--stop-signal", "int"}, "SIGINT", 4}, {[]string{"--stop-signal", "15"}, "SIGTERM", 9}} {
		name := fmt.Sprint("s", i)
		for _, words := range [][]string{append([]string{"session", "start", "dev", "--name", name}, c.flags...), {"session", "wait", "dev", name, "--match", "ready"}, {"session", "stop", "dev", name}} {
			if cmd := l.start(words...); cmd.wait() != 0 {
				t.Fatalf("%q: %s", words, cmd.stderr)
			}
		}
		x, err := l.Sessions.GetSession(t.Context(), "dev", name)
		if err != nil {
			t.Fatal(err)
		}
		if len(x.StopSteps) != 1 || x.StopSteps[0].Signal != c.signal || x.StopSignal != c.signal || x.ExitCode == nil || *x.ExitCode != c.code {
			t.Errorf("%q: %+v", c.flags, x)
		}
		show := l.start("session", "show", "dev", name)
		if status := show.wait(); status != 0 || !regexp.MustCompile(`(?m)^stop signal:? +`+regexp.QuoteMeta(c.signal)+`$`).MatchString(show.stdout.String()) {
			t.Errorf("%d: %s", status, show.stdout)
		}
	}
	// Another signal than that of the image could lose what it has not saved: as with podman, the
	// user chooses.
	config.StopSignal = "SIGNOPE"
	l.ofImage(config)
	cmd := l.start("session", "start", "dev")
	if status, said := cmd.wait(), cmd.stderr.String(); status != 2 || !strings.Contains(said, `"SIGNOPE" is not a signal`) || !strings.Contains(said, "session start dev --stop-signal") {
		t.Errorf("a signal that nobody knows: status %d, %s", status, said)
	}
	cmd = l.start("session", "start", "dev", "--", "/bin/true")
	if status := cmd.wait(); status != 0 {
		t.Errorf("another command: status %d, %s", status, cmd.stderr)
	}
}
