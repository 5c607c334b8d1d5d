package kvmlab

import (
	"path"
	"strings"
	"testing"
)

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
