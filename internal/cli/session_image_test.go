//go:build !unit

package cli

import (
	"testing"

	"banger"
)

// What the author of an image has chosen is how sessions of its VMs run, in a real guest.
func TestSessionStart_RunsAsTheImageOfItsVMSays(t *testing.T) {
	l := newLive(t)
	config := &banger.ImageConfig{
		Entrypoint: []string{"/bin/sh", "-c", `echo "$0|$*|$GREETING|$OWN|$PWD|$(id -u):$(id -g):$(id -G)"`}, Cmd: []string{"a b", "c"},
		Env: []string{"GREETING=good  'morning'", "OWN=image's"}, User: "12345:54321", WorkingDir: "/usr",
	}
	vms, err := l.Store.VMs.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Store.VMs.UpdateVM(t.Context(), vms[0].ID, func(vm *banger.VM) error { vm.ImageConfig = config; return nil }); err != nil {
		t.Fatal(err)
	}
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
	if _, err := l.Store.VMs.UpdateVM(t.Context(), vms[0].ID, func(vm *banger.VM) error { vm.ImageConfig = config; return nil }); err != nil {
		t.Fatal(err)
	}
	cmd := l.start("session", "start", "dev")
	if status := cmd.wait(); status != 2 {
		t.Errorf("without any command: status %d, %s", status, cmd.stderr.String())
	}
}
