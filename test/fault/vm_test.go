package fault

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

func TestFault_MachineOfAnInterruptedStartIsAdoptedOrGone(t *testing.T) {
	i := shared.Running(t, bin, "v")
	i.MustRun(t, "vm", "stop", "v", "--grace", "0s")
	id := show(t, i, "v").ID
	for _, c := range []struct {
		name   string
		moment func(t *testing.T, changes *json.Decoder)
		last   bool
	}{
		{"as soon as it is asked for", func(t *testing.T, changes *json.Decoder) {
			await(t, changes, func(vm banger.VM) bool { return vm.State == banger.VMStarting })
		}, false},
		{"before its machine is stored", func(t *testing.T, _ *json.Decoder) {
			wait.For(t, "the machine is noted", func() bool { return len(machines(t, id)) > 0 })
		}, false},
		{"while its guest boots", func(t *testing.T, changes *json.Decoder) {
			await(t, changes, func(vm banger.VM) bool { return vm.SSHAddress != "" })
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			daemon, changes := i.DaemonPID(t), events(t, i)
			start := begin(t, i, "vm", "start", "v")
			c.moment(t, changes)
			installation.Kill(t, daemon)
			start.end(t)
			if vm := show(t, i, "v"); vm.State == banger.VMFailed {
				wait.For(t, "nothing of the machine is left", func() bool { return len(machines(t, id)) == 0 })
			} else if vm.State != banger.VMStarting && vm.State != banger.VMRunning {
				t.Errorf("the VM is %s", vm.State)
			}
			if c.last || full() {
				i.MustRun(t, "vm", "start", "v")
				i.MustRun(t, "session", "start", "v", "--", "true")
				if pids := machines(t, id); len(pids) != 1 {
					t.Errorf("processes %v are machines of one VM", pids)
				}
			}
			if c.last {
				return // the next test has use for it
			}
			i.MustRun(t, "vm", "stop", "v", "--grace", "0s")
			if pids := machines(t, id); len(pids) != 0 {
				t.Errorf("processes %v are left of a stopped VM", pids)
			}
		})
	}
}

func TestFault_InterruptedStopIsCarriedOutAndLosesNothing(t *testing.T) {
	i := shared.Running(t, bin, "v")
	vm := show(t, i, "v")
	i.MustRun(t, "session", "start", "v", "--name", "trap", "--stdin", "pipe", "--",
		"sh", "-c", "trap 'sleep 1; echo bye; exit 5' TERM; echo up; read line; echo $line; while :; do sleep 0.1; done")
	i.MustRun(t, "session", "send", "v", "trap", "--data", "line\n")
	daemon, changes := i.DaemonPID(t), events(t, i)
	stop := begin(t, i, "vm", "stop", "v")
	await(t, changes, func(vm banger.VM) bool { return vm.State == banger.VMStopping })
	installation.Kill(t, daemon)
	stop.end(t)
	i.MustRun(t, "vm", "stop", "v") // waits for the end of the first
	if now := show(t, i, "v"); now.State != banger.VMStopped || now.LastError != "" {
		t.Errorf("the VM is %s: %s", now.State, now.LastError)
	}
	if pids := machines(t, vm.ID); len(pids) != 0 {
		t.Errorf("processes %v are left of a stopped VM", pids)
	}
	// What is said of a stopped VM is what is said when it runs again: see answersAreTheSame.
	if log := i.MustRun(t, "session", "logs", "v", "trap"); log != "up\nline\nbye\n" {
		t.Errorf("the log is %q", log)
	}
	x := installation.JSON[banger.Session](t, i, "session", "show", "v", "trap")
	if x.EndedBy != banger.EndedByVMStopped || x.ExitCode == nil || *x.ExitCode != 5 {
		t.Errorf("the session is %+v", x.SessionState)
	}
}

func TestFault_InterruptedDeleteIsDoneOrNotAndLeavesNothing(t *testing.T) {
	i := installation.New(t, bin)
	i.Image(t)
	for delay := 5 * time.Millisecond; delay < 150*time.Millisecond; delay *= 2 {
		i.MustRun(t, "vm", "create", "v")
		vm := show(t, i, "v")
		daemon, changes := i.DaemonPID(t), events(t, i)
		start := begin(t, i, "vm", "start", "v")
		await(t, changes, func(vm banger.VM) bool { return vm.SSHAddress != "" })
		remove := begin(t, i, "vm", "delete", "v", "--force")
		time.Sleep(delay) // the moment of the kill is what varies
		installation.Kill(t, daemon)
		start.end(t)
		done := remove.end(t)
		left := installation.JSON[[]banger.VM](t, i, "vm", "list")
		t.Logf("killed after %v: done %v, left %d", delay, done, len(left))
		if done && len(left) > 0 {
			t.Errorf("a deleted VM is back: %+v", left)
		}
		if len(left) > 0 {
			i.MustRun(t, "vm", "delete", "v", "--force")
		}
		if pids := machines(t, vm.ID); len(pids) != 0 {
			t.Errorf("processes %v are left of a deleted VM", pids)
		}
		if folders, err := filepath.Glob(filepath.Join(i.Paths().VMs(), "*")); err != nil || len(folders) != 0 {
			t.Errorf("%q are left of a deleted VM: %v", folders, err)
		}
	}
}
