package fault

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"banger"
	"banger/test/installation"
)

// machine is the place that is a whole installation with a real VM.
type machine struct {
	t            *testing.T
	installation *installation.Installation
}

const guestProgram = "/root/workload"

// newMachine makes the VM "v" of an installation, which runs, that place.
func newMachine(t *testing.T, i *installation.Installation) *machine {
	t.Helper()
	m := &machine{t, i}
	program, err := os.ReadFile(workloadProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	copied := m.installation.Feed(t, bytes.NewReader(program), "vm", "ssh", "v", "--", "cat > "+guestProgram+" && chmod 700 "+guestProgram)
	if copied.Code != 0 {
		t.Fatalf("cannot copy the workload into the guest: %s", copied)
	}
	r := rig{m, t}
	r.work("killer", "killer")
	return m
}

func (m *machine) socket() string  { return m.installation.Paths().Socket() }
func (m *machine) program() string { return guestProgram }
func (m *machine) daemonPID() int  { return m.installation.DaemonPID(m.t) }

func (m *machine) killDaemon() {
	m.installation.KillDaemon(m.t)
	m.installation.MustRun(m.t, "vm", "list") // starts another one
}

func (m *machine) upgradeDaemon() {
	m.installation.MustRun(m.t, "daemon", "stop")
	m.installation.MustRun(m.t, "vm", "list")
}

func (m *machine) cut()         { m.killInGuest("serve") }
func (m *machine) killControl() { m.killInGuest("control") }

// killInGuest kills the agent's processes of a kind, by what a session does.
func (m *machine) killInGuest(kind string) {
	m.t.Helper()
	if _, err := m.installation.Client().SendSession(m.t.Context(), "v", "killer", banger.SendRequest{Data: strings.NewReader(kind + "\n")}); err != nil {
		m.t.Error(err)
	}
}

func (m *machine) shimPID(banger.Session) int { return 0 }

// What attachments promise on the loopback they keep in a machine, too.
func TestFault_AttachmentsKeepTheirPromisesInAVM(t *testing.T) {
	r := &rig{newMachine(t, shared.Running(t, bin, "v")), t}
	t.Run("torn cable", func(t *testing.T) { tearCable(r.in(t), int64(sized(1<<20, 2<<20)), sized(6, 12)) })
	t.Run("torn keyboard", func(t *testing.T) { tearKeyboard(r.in(t), sized(300, 1000), sized(5, 12)) })
	t.Run("fenced writer", func(t *testing.T) { fenceWriters(r.in(t), 6, int64(sized(12, 60)), sized(64<<10, 512<<10)) })
	if full() { // the megabytes that it takes to fill all buffers are many for an emulated guest
		t.Run("frozen viewers", func(t *testing.T) { freezeViewers(r.in(t), 2, 4<<20, 5) })
	}
}
