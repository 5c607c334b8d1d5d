//go:build lab

package kvmlab

import (
	"slices"
	"testing"

	"banger"
)

// The machine is an ordinary user's, from an ordinary login.
func TestKVMLab_DoctorFindsKVMAndSessionsHaveIt(t *testing.T) {
	l := sharedLab(t)
	l.logOnFailure(t)
	l.logIn(t, labUser)
	doctorFindsKVM(t, l)
	l.banger(t, "vm", "start", "v")
	l.runningVM(t, "v")
	sessionHasKVM(t, l)
	l.banger(t, "vm", "stop", "v")
	l.banger(t, "daemon", "stop")
	l.logOut(t, labUser)
}

// doctorFindsKVM asks the doctor, who boots a trial guest. Not all is well: the lab cannot
// build images.
func doctorFindsKVM(t *testing.T, l *lab) {
	t.Helper()
	said := l.as(t, labUser, `banger doctor --json || true`)
	checks := decode[[]banger.Check](t, said)
	i := slices.IndexFunc(checks, func(c banger.Check) bool { return c.Name == "kvm" })
	if i < 0 || checks[i].Status != banger.CheckOK {
		t.Fatalf("the doctor does not find KVM: %s", said)
	}
}

// sessionHasKVM runs a session that looks for what only KVM gives to a guest, its clock,
// and says what became of it.
func sessionHasKVM(t *testing.T, l *lab) {
	t.Helper()
	const command = "cat /sys/devices/system/clocksource/clocksource0/current_clocksource; echo oops >&2; exit 3"
	l.banger(t, "session", "start", "v", "--name", "clock", "--", "sh", "-c", command)
	if status := l.as(t, labUser, `banger session wait v clock >&2 || echo $?`); status != "3\n" {
		t.Errorf("the exit status of the session is %q, want 3", status)
	}
	if logs := l.as(t, labUser, `banger session logs v clock 2>/dev/null`); logs != "kvm-clock\n" {
		t.Errorf("the session printed %q, want the clock of KVM", logs)
	}
	if logs := l.as(t, labUser, `banger session logs v clock 2>&1 >/dev/null`); logs != "oops\n" {
		t.Errorf("the session printed %q on stderr, want oops", logs)
	}
	clock := l.showSession(t, "v", "clock")
	if clock.Status != banger.StatusFailed || clock.EndedBy != banger.EndedByExit || clock.ExitCode == nil || *clock.ExitCode != 3 {
		t.Errorf("want failed with exit code 3: %+v", clock.SessionState)
	}
}
