package kvmlab

import (
	"bufio"
	"strconv"
	"testing"

	"banger"
)

// counter is a session that counts: what is lost or comes twice shows.
const counter = `i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done`

// counting is an attachment to the session that counts.
type counting struct {
	lines *bufio.Scanner
	next  int
}

// startCounting starts the VM if it does not run, with a session that counts, and attaches
// to that.
func (l *lab) startCounting(t *testing.T, vm, session string) *counting {
	t.Helper()
	l.as(t, labUser, `banger vm start "$1"; banger session start "$1" --name "$2" -- sh -c "$3"`, vm, session, counter)
	return l.attach(t, vm, session)
}

// attach follows the session from its start.
func (l *lab) attach(t *testing.T, vm, session string) *counting {
	t.Helper()
	return &counting{lines: l.lines(t, labUser, "banger", "session", "attach", vm, session, "--view", "--from", "start")}
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

func (l *lab) showVM(t *testing.T, name string) banger.VM {
	t.Helper()
	return decode[banger.VM](t, l.banger(t, "vm", "show", name, "--json"))
}

func (l *lab) showSession(t *testing.T, vm, name string) banger.Session {
	t.Helper()
	return decode[banger.Session](t, l.banger(t, "session", "show", vm, name, "--json"))
}

// runningVM returns a VM, which has to run with KVM.
func (l *lab) runningVM(t *testing.T, name string) banger.VM {
	t.Helper()
	vm := l.showVM(t, name)
	if vm.State != banger.VMRunning || vm.Accelerator != "kvm" {
		t.Fatalf("the VM is %+v, want it to run with KVM", vm)
	}
	return vm
}

// awaitRunning waits until a VM runs, without starting it. Its record says what was before.
func (l *lab) awaitRunning(t *testing.T, before banger.VM) {
	t.Helper()
	events := l.lines(t, labUser, "banger", "events", "--json", "--since", strconv.FormatInt(before.Revision, 10))
	last := before
	for events.Scan() {
		vm := decode[banger.Event](t, events.Text()).VM
		if vm == nil || vm.ID != before.ID {
			continue
		}
		if last = *vm; last.State == banger.VMRunning {
			return
		}
	}
	t.Fatalf("the events ended before the VM ran, which was last seen as %+v: %v", last, events.Err())
}

// logOnFailure logs at the end of a test that has failed what the user's daemon and the VM
// "v" have said.
func (l *lab) logOnFailure(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.as(t, labUser, `ls -l /dev/kvm
tail -n 50 ~/.local/state/banger/daemon.log || true
banger vm list --json || true
banger vm console-log v || true`))
			t.Log(l.root(t, `journalctl --no-pager -b -u "user@$1" -n 100 || true`, labUID))
		}
	})
}

// stopsCleanly stops the VM "v", which its guest has to see.
func (l *lab) stopsCleanly(t *testing.T, session string) {
	t.Helper()
	l.banger(t, "vm", "stop", "v", "--grace", "2m")
	if vm := l.showVM(t, "v"); vm.State != banger.VMStopped || vm.StoppedBy != banger.StoppedByGuest || vm.LastError != "" {
		t.Errorf("the VM is %+v, want it stopped by %q", vm, banger.StoppedByGuest)
	}
	if ended := l.showSession(t, "v", session); ended.EndedBy != banger.EndedByVMStopped {
		t.Errorf("the session was ended by %s, want %s", ended.EndedBy, banger.EndedByVMStopped)
	}
}
