package confine_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/confine"
)

// sh runs a script under rules and returns what it printed.
func sh(t *testing.T, rules confine.Rules, script string, args ...string) string {
	t.Helper()
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := confine.Do(rules, cmd.Run); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited {
			t.Fatal(err)
		}
	}
	return out.String()
}

// requireLandlock fails where the kernel lacks what is tested.
func requireLandlock(t *testing.T) {
	t.Helper()
	if confine.Supported() == 0 {
		t.Fatal("this kernel has no Landlock, or was booted without: see lsm= in its command line")
	}
}

func newFile(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("of "+name), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDo_ProgramReachesOnlyWhatItIsGiven(t *testing.T) {
	requireLandlock(t)
	dir := t.TempDir()
	secret, image, disk := newFile(t, dir, "secret"), newFile(t, dir, "image"), newFile(t, dir, "disk")
	rules := confine.System()
	rules.Read = append(rules.Read, image, filepath.Join(dir, "missing"))
	rules.Write = append(rules.Write, disk)
	for _, attempt := range []struct {
		script  string
		allowed bool
	}{
		{`cat "$1/image"`, true},
		{`echo new >"$1/disk"`, true},
		{`cat "$1/disk" >/dev/null </dev/null`, true},
		{`cat "$1/secret"`, false},
		{`ls "$1"`, false},
		{`echo new >"$1/image"`, false},
		{`echo new >"$1/more"`, false},
		{`rm "$1/disk"`, false},
		{`ln "$1/secret" "$1/image2"`, false},
		{`cat /etc/passwd`, false},
		{`cat /proc/1/status`, false},
		{`kill -CONT $PPID`, confine.Supported() < 6},
	} {
		out := sh(t, rules, "{ "+attempt.script+"; } && echo done", dir)
		if got := strings.HasSuffix(out, "done\n"); got != attempt.allowed {
			t.Errorf("%s: allowed is %v, want %v: %s", attempt.script, got, attempt.allowed, out)
		}
	}
	if data, err := os.ReadFile(secret); err != nil || string(data) != "of secret" {
		t.Errorf("the process that confined others reads %q, %v: it is confined itself", data, err)
	}
}

func TestDo_ProgramGainsNoPrivileges(t *testing.T) {
	rules := confine.System()
	rules.Read = append(rules.Read, "/proc")
	if out := sh(t, rules, `grep NoNewPrivs /proc/self/status`); out != "NoNewPrivs:\t1\n" {
		t.Errorf("its status says %q", out)
	}
}

// The threads that are given up are not those that others run on, however many
// programs are started.
func TestDo_ConfinesNobodyElse(t *testing.T) {
	requireLandlock(t)
	secret := newFile(t, t.TempDir(), "secret")
	for range 50 {
		if err := confine.Do(confine.System(), func() error { _, err := os.ReadFile(secret); return err }); !errors.Is(err, os.ErrPermission) {
			t.Fatalf("under the rules: %v, want %v", err, os.ErrPermission)
		}
		free := make(chan error)
		for range 8 {
			go func() {
				_, err := os.ReadFile(secret)
				free <- err
			}()
		}
		for range 8 {
			if err := <-free; err != nil {
				t.Fatalf("beside the rules: %v", err)
			}
		}
	}
}
