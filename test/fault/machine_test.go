package fault

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"banger"
	"banger/internal/guestconfig"
	"banger/test/installation"
)

// machine is the place that is a whole installation with a real VM.
type machine struct {
	t            *testing.T
	installation *installation.Installation
}

const guestProgram = "/root/fault.test"

// buildForGuest builds this test binary as it runs in a guest: slow machines have no
// time for the race detector.
func buildForGuest() ([]byte, error) {
	dir, err := os.MkdirTemp("", "banger-fault-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "fault.test"), "banger/test/fault")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the test for the guest: %w\n%s", err, out)
	}
	return os.ReadFile(filepath.Join(dir, "fault.test"))
}

var guestBinary = sync.OnceValues(buildForGuest) //nolint:gochecknoglobals // built once for all tests

// newMachine makes the VM "v" of an installation, which runs, that place.
func newMachine(t *testing.T, i *installation.Installation) *machine {
	t.Helper()
	m := &machine{t, i}
	program, err := guestBinary()
	if err != nil {
		t.Fatal(err)
	}
	copied := m.installation.Feed(t, bytes.NewReader(program), "vm", "ssh", "v", "--", "cat > "+guestProgram+" && chmod 700 "+guestProgram)
	if copied.Code != 0 {
		t.Fatalf("cannot copy the test into the guest: %s", copied)
	}
	r := rig{m, t}
	r.self("killer", "killer")
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
	t.Run("torn cable", func(t *testing.T) { tearCable(r.in(t), int64(sized(1<<20, 2<<20)), sized(8, 12)) })
	t.Run("torn keyboard", func(t *testing.T) { tearKeyboard(r.in(t), sized(300, 1000), sized(5, 12)) })
	t.Run("fenced writer", func(t *testing.T) { fenceWriters(r.in(t), 6, int64(sized(12, 60))) })
	t.Run("frozen viewers", func(t *testing.T) { freezeViewers(r.in(t), sized(1, 2), sized(3<<20, 4<<20), sized(3, 5)) })
}

// killOnRequest is the command of the session killer: it kills the processes of
// the agent that have a subcommand, for each line that names one.
func killOnRequest(requests io.Reader) error {
	for lines := bufio.NewScanner(requests); lines.Scan(); {
		cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, path := range cmdlines {
			data, err := os.ReadFile(path)
			argv := strings.Split(string(data), "\x00")
			if err != nil || len(argv) < 2 || argv[0] != guestconfig.AgentPath || argv[1] != lines.Text() {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return err
			}
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
	return nil
}
