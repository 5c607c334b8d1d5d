package kvmlab

import (
	"bufio"
	"path"
	"strconv"
	"strings"
	"testing"

	"banger"
)

// counter is a session that counts: what is lost or comes twice shows.
const counter = `i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done`

// A machine under the user's unit has a scope of its own.
func TestSystemd_RestartOfTheUserUnitLeavesVMsAndSessionsRunning(t *testing.T) {
	l := sharedSystemdLab(t)
	l.root(t, `loginctl enable-linger "$1"`, labUser)
	l.logIn(t, labUser)
	l.as(t, labUser, `systemctl --user enable --now banger`)
	t.Cleanup(func() {
		l.as(t, labUser, `systemctl --user disable --now banger`)
		l.logOut(t, labUser)
		l.root(t, `loginctl disable-linger "$1"`, labUser)
	})
	unitRestart{
		session: "user-unit",
		restart: func() { l.as(t, labUser, `systemctl --user restart banger`) },
		pid:     `systemctl --user show banger --property MainPID --value`,
		group:   "/banger-",
	}.leavesMachinesRunning(t, l)
}

// A machine under the system's unit is in the unit's own group: its user has no manager
// that would outlive it.
func TestSystemd_RestartOfTheSystemUnitLeavesVMsAndSessionsRunning(t *testing.T) {
	l := sharedSystemdLab(t)
	l.root(t, `systemctl enable --now "banger@$1"`, labUser)
	l.logIn(t, labUser)
	t.Cleanup(func() {
		l.logOut(t, labUser)
		l.root(t, `systemctl disable --now "banger@$1"`, labUser)
	})
	unitRestart{
		session: "system-unit",
		restart: func() { l.root(t, `systemctl restart "banger@$1"`, labUser) },
		pid:     `systemctl show banger@$(id -un) --property MainPID --value`,
		group:   "/banger@" + labUser + ".service",
	}.leavesMachinesRunning(t, l)
}

// unitRestart is a unit whose daemon is restarted.
type unitRestart struct {
	session string // name of the session that lives through it
	restart func()
	pid     string // script that prints the pid of the unit's daemon
	group   string // part of the control group in which a machine belongs
}

func (u unitRestart) leavesMachinesRunning(t *testing.T, l *systemdLab) {
	t.Helper()
	count := l.startCounting(t, u.session)
	daemon := u.daemonOf(t, l)
	before := l.showVM(t)
	for _, group := range l.groupsOfMachine(t) {
		if !strings.Contains(group, u.group) {
			t.Errorf("a process of the machine is in %s, want one of %s", group, u.group)
		}
	}
	count.to(t, 3)

	u.restart()
	count.to(t, count.next+20)
	if now := u.daemonOf(t, l); now == daemon {
		t.Errorf("the daemon is still process %s", now)
	}
	after := l.showVM(t)
	if after.State != banger.VMRunning || after.BootID != before.BootID || after.EndsWith != "" {
		t.Errorf("after the restart the VM is %+v, before it was %+v", after, before)
	}
	l.stopsCleanly(t, u.session)
}

// daemonOf returns the pid of the unit's daemon, which has to be the one that answers.
func (u unitRestart) daemonOf(t *testing.T, l *systemdLab) string {
	t.Helper()
	pid := strings.TrimSpace(l.as(t, labUser, u.pid))
	if serving := l.daemons(t); len(serving) != 1 || serving[0] != pid {
		t.Fatalf("the daemons are %q, want only the unit's, %s", serving, pid)
	}
	return pid
}

// The user's manager ends with the last logout, and /run/user/UID with it.
func TestSystemd_LogoutTakesNeitherVMNorSessionNorTheWayToThem(t *testing.T) {
	const session = "logout"
	l := sharedSystemdLab(t)
	l.logIn(t, labUser)
	l.as(t, labUser, `banger vm start v; banger session start v --name "$1" -- sh -c "$2"`, session, counter)
	daemon := l.daemons(t)
	before := l.showVM(t)
	l.logOut(t, labUser)
	// What the login has left behind keeps both there. They end with it where logind is
	// set so, where the host is short of memory, and by hand.
	l.root(t, `systemctl stop "user@$1.service" "user-runtime-dir@$1.service"; test ! -e "/run/user/$1"`, labUID)

	l.logIn(t, labUser)
	if vm := l.showVM(t); vm.State != banger.VMRunning || vm.BootID != before.BootID {
		t.Errorf("after the logout the VM is %+v, before it was %+v", vm, before)
	}
	if now := l.daemons(t); len(now) != 1 || now[0] != daemon[0] {
		t.Errorf("the daemons are %q, want the one of the first login, %q", now, daemon)
	}
	l.attach(t, session).to(t, 20)
	if logs := l.banger(t, "session", "logs", "v", session); !strings.HasPrefix(logs, "0\n1\n2\n") {
		t.Errorf("the session's logs are %.100q", logs)
	}
	l.stopsCleanly(t, session)
	l.banger(t, "daemon", "stop")
	l.logOut(t, labUser)
}

// counting is an attachment to the session that counts.
type counting struct {
	lines *bufio.Scanner
	next  int
}

// startCounting starts the VM with a session that counts, and attaches to it.
func (l *systemdLab) startCounting(t *testing.T, session string) *counting {
	t.Helper()
	l.as(t, labUser, `banger vm start v; banger session start v --name "$1" -- sh -c "$2"`, session, counter)
	return l.attach(t, session)
}

// attach follows the session from its start.
func (l *systemdLab) attach(t *testing.T, session string) *counting {
	t.Helper()
	return &counting{lines: l.lines(t, labUser, "banger", "session", "attach", "v", session, "--view", "--from", "start")}
}

// to reads until a number has come, each exactly once.
func (c *counting) to(t *testing.T, last int) {
	t.Helper()
	for ; c.next <= last; c.next++ {
		if !c.lines.Scan() {
			t.Fatalf("the attachment ended before the session's %d: %v", c.next, c.lines.Err())
		}
		if c.lines.Text() != strconv.Itoa(c.next) {
			t.Fatalf("the session's next line is %q, want %d", c.lines.Text(), c.next)
		}
	}
}

func (l *systemdLab) showVM(t *testing.T) banger.VM {
	t.Helper()
	vms := decode[[]banger.VM](t, l.banger(t, "vm", "list", "--json"))
	if len(vms) != 1 {
		t.Fatalf("want one VM, have %+v", vms)
	}
	return vms[0]
}

// stopsCleanly stops the VM, which its guest has to see.
func (l *systemdLab) stopsCleanly(t *testing.T, session string) {
	t.Helper()
	l.banger(t, "vm", "stop", "v", "--grace", "2m")
	if vm := l.showVM(t); vm.State != banger.VMStopped || vm.StoppedBy != banger.StoppedByGuest {
		t.Errorf("the VM is %s, stopped by %q, want %q", vm.State, vm.StoppedBy, banger.StoppedByGuest)
	}
	ended := decode[banger.Session](t, l.banger(t, "session", "show", "v", session, "--json"))
	if ended.EndedBy != banger.EndedByVMStopped {
		t.Errorf("the session was ended by %s, want %s", ended.EndedBy, banger.EndedByVMStopped)
	}
}

// daemons returns the pids of all daemons in the lab. A dot is the end of an argument, and
// the brackets keep grep from finding itself.
func (l *systemdLab) daemons(t *testing.T) (pids []string) {
	t.Helper()
	found := l.root(t, `LC_ALL=C grep -ls -a '[b]anger.daemon.run' /proc/[0-9]*/cmdline || true`)
	for _, name := range strings.Fields(found) {
		pids = append(pids, path.Base(path.Dir(name)))
	}
	return pids
}

// groupsOfMachine returns the control groups of the machine and of the scribe that
// writes down what it says.
func (l *systemdLab) groupsOfMachine(t *testing.T) (groups []string) {
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
