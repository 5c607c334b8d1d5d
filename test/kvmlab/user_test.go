package kvmlab

import (
	"strings"
	"testing"

	"banger"
)

// One user's machines, first without the user's unit and then with it. A boot takes a
// quarter of a minute here, so all that is promised of them is checked with two: w is
// started by a daemon that a command has started, and lost when the host boots again; v is
// then started by the unit's daemon.
func TestSystemd_UsersMachinesOutliveLogoutAndDaemonAndStartWithTheHost(t *testing.T) {
	const session = "counter"
	l := sharedLab(t)
	l.logOnFailure(t)
	l.logIn(t, labUser)
	l.createVM(t, "w")
	before := l.showVM(t, "v")
	l.outlivesLogout(t, "w", session)

	w := l.runningVM(t, "w")
	l.banger(t, "daemon", "stop")
	l.root(t, `loginctl enable-linger "$1"`, labUser)
	l.as(t, labUser, `systemctl --user enable --now banger`)
	t.Cleanup(func() {
		l.as(t, labUser, `systemctl --user disable --now banger`)
		l.logOut(t, labUser)
		l.root(t, `loginctl disable-linger "$1"`, labUser)
	})
	u := unit{
		restart: func() { l.as(t, labUser, `systemctl --user restart banger`) },
		daemon:  "/banger.service",
		machine: "/banger-", // begins a scope's name
	}
	u.daemonOf(t, l)
	if now := l.runningVM(t, "w"); now.BootID != w.BootID {
		t.Errorf("for the unit's daemon the VM is %+v, before it was %+v", now, w)
	}

	l.reboot(t)
	l.logIn(t, labUser)
	l.as(t, labUser, `systemctl --user is-system-running --wait || true`) // some other unit may have failed
	u.daemonOf(t, l)                                                      // no command has started it
	l.wasLost(t, "w", session)
	l.awaitRunning(t, before)
	u.restartLeavesRunning(t, l, "v", l.startCounting(t, "v", session))
	l.wasLost(t, "w", session) // still
	l.banger(t, "vm", "delete", "w")
	l.stopsCleanly(t, session)
}

// outlivesLogout starts a VM with a session that counts, logs out and in again, and finds
// both as they were. The user's manager ends with the last logout, and /run/user/UID with it.
func (l *lab) outlivesLogout(t *testing.T, vm, session string) {
	t.Helper()
	l.startCounting(t, vm, session).to(t, 3)
	before := l.runningVM(t, vm)
	daemon := l.daemons(t)
	l.logOut(t, labUser)
	// What the login has left behind keeps both there. They end with it where logind is
	// set so, where the host is short of memory, and by hand.
	l.root(t, `systemctl stop "user@$1.service" "user-runtime-dir@$1.service"; test ! -e "/run/user/$1"`, labUID)

	l.logIn(t, labUser)
	if now := l.runningVM(t, vm); now.BootID != before.BootID {
		t.Errorf("after the logout the VM is %+v, before it was %+v", now, before)
	}
	if now := l.daemons(t); len(now) != 1 || now[0] != daemon[0] {
		t.Errorf("the daemons are %q, want the one of the first login, %q", now, daemon)
	}
	l.attach(t, vm, session).to(t, 20)
	if logs := l.banger(t, "session", "logs", vm, session); !strings.HasPrefix(logs, "0\n1\n2\n") {
		t.Errorf("the session's logs are %.100q", logs)
	}
}

// wasLost checks that a VM and its session were lost when the host booted again, and that
// nobody has started it since.
func (l *lab) wasLost(t *testing.T, vm, session string) {
	t.Helper()
	if lost := l.showVM(t, vm); lost.State != banger.VMFailed || lost.LastError == "" || lost.StoppedBy != "" {
		t.Errorf("the VM that does not start with the host is %+v, want it to be lost", lost)
	}
	if ended := l.showSession(t, vm, session); ended.EndedBy != banger.EndedByVMLost {
		t.Errorf("the session was ended by %s, want %s", ended.EndedBy, banger.EndedByVMLost)
	}
}
