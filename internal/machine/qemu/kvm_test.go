package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/confine"
	"banger/test/wait"
)

// newTrial returns a kvm whose QEMU is a shell script, and the function that returns how
// many trials were made. The script is confined as QEMU is, so it leaves no trace.
func newTrial(t *testing.T, script string) (k *kvm, kernel string, calls func() int) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string, perm os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), perm); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var made atomic.Int64
	k = newKVM(Config{
		Binary:       write("qemu", "#!/bin/sh\n"+script+"\n", 0o700),
		VerdictCache: filepath.Join(dir, "kvm.json"),
		Poweroff: func(w io.Writer) error { // the initrd of each trial
			made.Add(1)
			_, err := io.WriteString(w, "initrd")
			return err
		},
	})
	k.device, k.limit = write("device", "", 0o600), time.Minute
	return k, write("kernel", "kernel", 0o600), func() int { return int(made.Load()) }
}

// processWith returns the pid of a process that has words among its arguments, 0 if
// there is none; proc(5), cmdline.
func processWith(words string) int {
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), words) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid
		}
	}
	return 0
}

func TestVerdict_FollowsTheTrialGuest(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		limit  time.Duration
		usable bool
		reason string
	}{
		"powers off":    {"exit 0", time.Minute, true, "booted"},
		"never boots":   {"exec sleep 600", 500 * time.Millisecond, false, "did not boot within"},
		"QEMU gives up": {"echo 'Could not access KVM kernel module: Permission denied' >&2; exit 1", time.Minute, false, "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			k, kernel, calls := newTrial(t, test.script)
			k.limit = test.limit
			for range 2 { // the second comes from the cache
				v, err := k.verdict(t.Context(), kernel)
				if err != nil {
					t.Fatal(err)
				}
				if v.Usable != test.usable || !strings.Contains(v.Reason, test.reason) {
					t.Errorf("the verdict is %+v, want %v because %q", v, test.usable, test.reason)
				}
				k = &kvm{config: k.config, device: k.device, limit: k.limit, busy: make(chan struct{}, 1)}
			}
			if n := calls(); n != 1 {
				t.Errorf("%d trials were made, want 1", n)
			}
			left, _ := filepath.Glob(filepath.Join(filepath.Dir(kernel), ".kvm-trial-*"))
			if len(left) > 0 {
				t.Errorf("%v is left over", left)
			}
		})
	}
}

func TestVerdict_IsTriedOnceForMany(t *testing.T) {
	k, kernel, calls := newTrial(t, "exit 0")
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			if v, err := k.verdict(t.Context(), kernel); err != nil || !v.Usable {
				t.Errorf("the verdict is %+v, %v", v, err)
			}
		})
	}
	callers.Wait()
	if n := calls(); n != 1 {
		t.Errorf("%d trials were made, want 1", n)
	}
}

func TestVerdict_IsTriedAgainWhenSomethingChanged(t *testing.T) {
	k, kernel, calls := newTrial(t, "exit 0")
	verdict := func(want int) {
		t.Helper()
		if _, err := k.verdict(t.Context(), kernel); err != nil {
			t.Fatal(err)
		}
		if n := calls(); n != want {
			t.Errorf("%d trials were made, want %d", n, want)
		}
	}
	verdict(1)
	if err := os.WriteFile(kernel, []byte("another kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	verdict(2)
	rewrite(t, k.config.VerdictCache, `"boot_id": "`, `"boot_id": "another boot `)
	verdict(3)
	if err := os.WriteFile(k.config.VerdictCache, []byte("{not json"), 0o600); err != nil {
		t.Fatal(err)
	}
	verdict(4)
	verdict(4)
}

func rewrite(t *testing.T, path, from, to string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), from, to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerdict_EndsWithItsContextAndKillsTheTrial(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	fraction := fmt.Sprintf("0.%d%d", os.Getpid(), time.Now().UnixNano()) // sleep(1) adds its arguments up
	k, kernel, _ := newTrial(t, "exec sleep 600 "+fraction)
	cause := errors.New("the user gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := k.verdict(ctx, kernel)
		result <- err
	}()
	wait.For(t, "a trial", func() bool {
		select {
		case err := <-result:
			t.Fatalf("the trial did not begin: %v", err)
		default:
		}
		return processWith("sleep\x00600\x00"+fraction) != 0
	})
	cancel(cause)
	if err := <-result; !errors.Is(err, cause) {
		t.Errorf("the verdict failed with %v, want %v", err, cause)
	}
	if pid := processWith("sleep\x00600\x00" + fraction); pid != 0 {
		t.Errorf("the trial's process still runs: %d", pid)
	}
	if _, err := os.Stat(k.config.VerdictCache); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a trial that was cancelled was kept: %v", err)
	}
}

func TestVerdict_NeedsNoTrialWithoutDevice(t *testing.T) {
	k, kernel, calls := newTrial(t, "exit 0")
	k.device += ".missing"
	v, err := k.verdict(t.Context(), kernel)
	if err != nil || v.Usable || !strings.Contains(v.Reason, "there is no") || v.Hint == "" {
		t.Errorf("the verdict is %+v, %v", v, err)
	}
	if n := calls(); n != 0 {
		t.Errorf("%d trials were made", n)
	}
}

func TestChecks_SayWhatIsFoundAndWhatToDo(t *testing.T) {
	k, kernel, _ := newTrial(t, "echo 'QEMU emulator version 7.2.22'; [ $# = 1 ] || exec sleep 600")
	d := New(k.config)
	d.kvm.device, d.kvm.limit = k.device, 200*time.Millisecond
	want := []banger.CheckStatus{banger.CheckOK, banger.CheckWarn, checkConfinement(confine.Supported()).Status}
	checks := d.Checks(t.Context(), kernel)
	if len(checks) != len(want) {
		t.Fatalf("%d checks, want %d", len(checks), len(want))
	}
	for i, c := range checks {
		if c.Status != want[i] || c.Detail == "" || (c.Status != banger.CheckOK && c.Hint == "") {
			t.Errorf("check %+v, want status %s", c, want[i])
		}
	}
	missing := New(Config{Binary: "qemu-system-nowhere"})
	if c := missing.Checks(t.Context(), "")[0]; c.Status != banger.CheckFail || !strings.Contains(c.Hint, debianPackage) {
		t.Errorf("check without QEMU: %+v", c)
	}
	fmt.Fprintln(t.Output(), New(Config{}).Checks(t.Context(), ""))
}
