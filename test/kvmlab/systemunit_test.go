//go:build lab

package kvmlab

import "testing"

// A machine under the system's unit is in the unit's own group: its user has no manager
// that would outlive it.
func TestSystemd_RestartOfTheSystemUnitLeavesVMsAndSessionsRunning(t *testing.T) {
	const session = "system-unit"
	l := sharedLab(t)
	l.logOnFailure(t)
	l.root(t, `systemctl enable --now "banger@$1"`, labUser)
	l.logIn(t, labUser)
	t.Cleanup(func() {
		l.logOut(t, labUser)
		l.root(t, `systemctl disable --now "banger@$1"`, labUser)
	})
	u := unit{
		restart: func() { l.root(t, `systemctl restart "banger@$1"`, labUser) },
		daemon:  "/banger@" + labUser + ".service",
		machine: "/banger@" + labUser + ".service",
	}
	count := l.startCounting(t, "v", session)
	u.restartLeavesRunning(t, l, "v", count)
	l.stopsCleanly(t, session)
}
