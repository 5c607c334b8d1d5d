package kvmlab

import (
	"path"
	"strings"
	"testing"

	"banger"
)

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

// A machine under the user's unit has a scope of its own. The one whose daemon is restarted
// here is also the one that is lost when the host boots again.
func TestSystemd_TheUserUnitEndsNoMachineAndStartsThoseThatStartWithTheHost(t *testing.T) {
	const session = "user-unit"
	l := sharedLab(t)
	l.logOnFailure(t)
	l.root(t, `loginctl enable-linger "$1"`, labUser)
	l.logIn(t, labUser)
	l.as(t, labUser, `systemctl --user enable --now banger`)
	t.Cleanup(func() {
		l.as(t, labUser, `systemctl --user disable --now banger`)
		l.logOut(t, labUser)
		l.root(t, `loginctl disable-linger "$1"`, labUser)
	})
	l.banger(t, "vm", "create", "w", "--image", labImage, "--cpus", "1", "--memory", "256M")
	u := unit{
		restart: func() { l.as(t, labUser, `systemctl --user restart banger`) },
		daemon:  "/banger.service",
		machine: "/banger-", // begins a scope's name
	}
	count := l.startCounting(t, "w", session)
	u.restartLeavesRunning(t, l, "w", count)

	before := l.showVM(t, "v")
	l.reboot(t)
	l.logIn(t, labUser)
	l.as(t, labUser, `systemctl --user is-system-running --wait || true`) // some other unit may have failed
	u.daemonOf(t, l)                                                      // no command has started it
	w := l.showVM(t, "w")
	if w.State != banger.VMFailed || w.LastError == "" || w.StoppedBy != "" {
		t.Errorf("the VM that does not start with the host is %+v, want it to be lost", w)
	}
	if ended := l.showSession(t, "w", session); ended.EndedBy != banger.EndedByVMLost {
		t.Errorf("the session was ended by %s, want %s", ended.EndedBy, banger.EndedByVMLost)
	}
	l.awaitRunning(t, before)
	l.runningVM(t, "v")
	if now := l.showVM(t, "w"); now.State != w.State {
		t.Errorf("the VM that does not start with the host is %s now", now.State)
	}
	l.banger(t, "vm", "delete", "w")
	l.banger(t, "vm", "stop", "v")
}

// unit is one whose daemon is restarted.
type unit struct {
	restart func()
	// What is in the path of the control group of the daemon, and of a machine.
	daemon, machine string
}

// restartLeavesRunning restarts the daemon while a session counts.
func (u unit) restartLeavesRunning(t *testing.T, l *lab, vm string, count *counting) {
	t.Helper()
	daemon := u.daemonOf(t, l)
	before := l.runningVM(t, vm)
	for _, group := range l.groupsOfMachine(t) {
		if !strings.Contains(group, u.machine) {
			t.Errorf("a process of the machine is in %s, want one of %s", group, u.machine)
		}
	}
	count.to(t, 3)
	u.restart()
	count.to(t, count.next+20)
	if now := u.daemonOf(t, l); now == daemon {
		t.Errorf("the daemon is still process %s", now)
	}
	if after := l.runningVM(t, vm); after.BootID != before.BootID || after.EndsWith != "" {
		t.Errorf("after the restart the VM is %+v, before it was %+v", after, before)
	}
}

// daemonOf returns the pid of the only daemon, which has to be the unit's.
func (u unit) daemonOf(t *testing.T, l *lab) string {
	t.Helper()
	daemons := l.daemons(t)
	if len(daemons) != 1 {
		t.Fatalf("the daemons are %q, want the unit's", daemons)
	}
	if group := l.root(t, `cat "/proc/$1/cgroup"`, daemons[0]); !strings.Contains(group, u.daemon) {
		t.Fatalf("the daemon is in %s, want it in %s", group, u.daemon)
	}
	return daemons[0]
}

// daemons returns the pids of all daemons in the lab. A dot is the end of an argument, and
// the brackets keep grep from finding itself.
func (l *lab) daemons(t *testing.T) (pids []string) {
	t.Helper()
	found := l.root(t, `LC_ALL=C grep -ls -a '[b]anger.daemon.run' /proc/[0-9]*/cmdline || true`)
	for _, name := range strings.Fields(found) {
		pids = append(pids, path.Base(path.Dir(name)))
	}
	return pids
}

// groupsOfMachine returns the control groups of the machine and of the scribe that
// writes down what it says.
func (l *lab) groupsOfMachine(t *testing.T) (groups []string) {
	t.Helper()
	for _, process := range []string{"[q]emu-system-x86_64.-M", "[b]anger-scribe"} {
		found := strings.Fields(l.root(t, `cd /proc
for cmdline in $(LC_ALL=C grep -ls -a -- "$1" [0-9]*/cmdline); do cat "${cmdline%/*}/cgroup"; done`, process))
		if len(found) == 0 {
			t.Errorf("no process of the machine has %q in its command line", process)
		}
		groups = append(groups, found...)
	}
	return groups
}
