package remote

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"banger"
	"banger/internal/hosttest"
	"banger/test/wait"
)

// A host that has taken the user's key away is not asked again and again: the next login
// is when there is a reason to, and until then commands say what is wrong.
func TestRemote_ARefusedLoginIsRepeatedOnlyForAReason(t *testing.T) {
	var logins atomic.Int64
	r := newRig(t, hosttest.SSHOptions{Net: func(c net.Conn) net.Conn { logins.Add(1); return c }})
	r.mustAdd()
	r.start("job", `while read line; do echo "$line"; done`)
	keys := filepath.Join(r.server.Dir, "authorized_keys")
	allowed, err := os.ReadFile(keys)
	if err == nil {
		err = os.Truncate(keys, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := logins.Load()
	r.server.Cut()
	wait.For(t, "the login to be refused", func() bool { return r.vm().LoginRefused })
	refused := logins.Load()
	if n := refused - before; n != 1 {
		t.Errorf("%d logins until it was refused", n)
	}
	if vm := r.vm(); vm.UnreachableSince.IsZero() || !strings.Contains(vm.LastError, "no key was accepted") {
		t.Errorf("%+v", vm)
	}
	needsHost := func() error {
		_, err := r.ReadLogs(t.Context(), "v", "job", banger.LogRequest{Lines: 10}, func(banger.LogChunk) error { return nil })
		return err
	}
	for range 20 {
		if err := needsHost(); banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "login was refused") {
			t.Fatalf("a command that needs the host: %v", err)
		}
	}
	if n := logins.Load() - refused; n != 0 {
		t.Errorf("%d logins without a reason", n)
	}

	// A change of the user's configuration is a reason, if somebody needs the host.
	if err := os.WriteFile(filepath.Join(r.home, ".ssh", "another"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := needsHost(); banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("a command after a change that does not help: %v", err)
	}
	wait.For(t, "the login after the change", func() bool { return logins.Load() == refused+1 && r.vm().LoginRefused })

	// So is that its user says so.
	if err := os.WriteFile(keys, allowed, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.UnlockRemote(t.Context(), "v", banger.RemoteAnswers{}); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the host to be back", func() bool { vm := r.vm(); return vm.UnreachableSince.IsZero() && !vm.LoginRefused })
	r.converse("job", 0, "it has logged in again")
	if n := logins.Load() - refused; n != 3 { // the change, vm unlock, and the link
		t.Errorf("%d logins since the refusal", n)
	}
}
