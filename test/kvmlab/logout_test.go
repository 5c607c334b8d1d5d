package kvmlab

import (
	"slices"
	"strings"
	"testing"

	"banger"
)

// The user's manager ends with the last logout, and /run/user/UID with it. The machine is
// an ordinary user's, from an ordinary login, so it is here that it is seen to have KVM.
func TestSystemd_LogoutTakesNeitherVMNorSessionNorTheWayToThem(t *testing.T) {
	const session = "logout"
	l := sharedLab(t)
	l.logOnFailure(t)
	l.logIn(t, labUser)
	doctorFindsKVM(t, l)
	l.startCounting(t, "v", session).to(t, 3)
	before := l.runningVM(t, "v")
	sessionHasKVM(t, l)
	daemon := l.daemons(t)
	l.logOut(t, labUser)
	// What the login has left behind keeps both there. They end with it where logind is
	// set so, where the host is short of memory, and by hand.
	l.root(t, `systemctl stop "user@$1.service" "user-runtime-dir@$1.service"; test ! -e "/run/user/$1"`, labUID)

	l.logIn(t, labUser)
	if vm := l.runningVM(t, "v"); vm.BootID != before.BootID {
		t.Errorf("after the logout the VM is %+v, before it was %+v", vm, before)
	}
	if now := l.daemons(t); len(now) != 1 || now[0] != daemon[0] {
		t.Errorf("the daemons are %q, want the one of the first login, %q", now, daemon)
	}
	l.attach(t, "v", session).to(t, 20)
	if logs := l.banger(t, "session", "logs", "v", session); !strings.HasPrefix(logs, "0\n1\n2\n") {
		t.Errorf("the session's logs are %.100q", logs)
	}
	l.stopsCleanly(t, session)
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
