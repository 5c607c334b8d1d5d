package kvmlab

import (
	"slices"
	"testing"

	"banger"
)

func TestKVMLab_SessionRunsInAMachineWithKVM(t *testing.T) {
	l := sharedLab(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.banger(t, "vm", "console-log", "inner"))
			t.Log(l.host.Run(t, l.inside("cat", "/root/.local/state/banger/daemon.log")...))
		}
	})
	mustHaveKVM(t, l)

	// Nothing is built: the image is found and proven sound.
	l.mustBanger(t, append([]string{"image", "build", labName}, packages()...)...)
	if image := decode[banger.Image](t, l.mustBanger(t, "image", "show", labName, "--json")); image.ID != l.image.ID {
		t.Errorf("the lab has image %s, want %s", image.ID, l.image.ID)
	}
	l.mustBanger(t, "vm", "create", "inner", "--image", labName, "--cpus", "2", "--memory", "512M", "--start")
	vm := showVM(t, l)
	if vm.State != banger.VMRunning || vm.Accelerator != "kvm" {
		t.Fatalf("the VM is %s with accelerator %q, want kvm", vm.State, vm.Accelerator)
	}

	// A guest has this clock from KVM only.
	l.mustBanger(t, "session", "start", "inner", "--name", "short", "--", "sh", "-c",
		"cat /sys/devices/system/clocksource/clocksource0/current_clocksource; nproc; echo oops >&2; exit 3")
	if r := l.banger(t, "session", "wait", "inner", "short"); r.Code != 3 {
		t.Errorf("want exit status 3: %s", r)
	}
	logs := l.banger(t, "session", "logs", "inner", "short")
	if string(logs.Stdout) != "kvm-clock\n2\n" || string(logs.Stderr) != "oops\n" {
		t.Errorf("want the clock of KVM and 2 CPUs: %s", logs)
	}
	short := showSession(t, l, "short")
	if short.Status != banger.StatusFailed || short.EndedBy != banger.EndedByExit || short.ExitCode == nil || *short.ExitCode != 3 {
		t.Errorf("want failed with exit code 3: %+v", short.SessionState)
	}

	powerButtonEndsIt(t, l)
}

// mustHaveKVM asks the doctor, who boots a trial guest. Not all is well: the lab
// cannot build images.
func mustHaveKVM(t *testing.T, l *lab) {
	t.Helper()
	r := l.banger(t, "doctor", "--json")
	checks := decode[[]banger.Check](t, string(r.Stdout))
	i := slices.IndexFunc(checks, func(c banger.Check) bool { return c.Name == "kvm" })
	if i < 0 || checks[i].Status != banger.CheckOK {
		t.Fatalf("the doctor does not find KVM: %s", r)
	}
	t.Logf("doctor: %s", checks[i].Detail)
}

// powerButtonEndsIt stops the VM in the orderly way, which a session that runs
// tells from any other.
func powerButtonEndsIt(t *testing.T, l *lab) {
	t.Helper()
	l.mustBanger(t, "session", "start", "inner", "--name", "long", "--", "sleep", "1000")
	l.mustBanger(t, "vm", "stop", "inner", "--grace", "2m")
	if vm := showVM(t, l); vm.State != banger.VMStopped || vm.LastError != "" {
		t.Errorf("the VM is %s: %s", vm.State, vm.LastError)
	}
	if long := showSession(t, l, "long"); long.EndedBy != banger.EndedByVMStopped {
		t.Errorf("the session was ended by %s, want %s", long.EndedBy, banger.EndedByVMStopped)
	}
	l.mustBanger(t, "vm", "delete", "inner")
	l.mustBanger(t, "daemon", "stop")
}

func showVM(t *testing.T, l *lab) banger.VM {
	t.Helper()
	return decode[banger.VM](t, l.mustBanger(t, "vm", "show", "inner", "--json"))
}

func showSession(t *testing.T, l *lab, name string) banger.Session {
	t.Helper()
	return decode[banger.Session](t, l.mustBanger(t, "session", "show", "inner", name, "--json"))
}
