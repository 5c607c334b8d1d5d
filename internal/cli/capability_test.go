//go:build !unit

package cli

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/hosttest"
	"banger/internal/machine/inmem"
	"banger/internal/machine/qemu"
	"banger/internal/vmm"
)

// needs says for each command which capability it needs of the machine of a VM, "" for
// those that need none: they do what they do in any guest, or with no machine at all.
func needs() map[string]banger.Capability {
	return map[string]banger.Capability{
		"vm start": banger.CanPower, "vm stop": banger.CanPower, "vm restart": banger.CanPower, "vm set": banger.CanPower,
		"vm console-log": banger.CanConsole, "vm unlock": banger.CanUnlock,
		"vm add": "", "vm create": "", "vm delete": "", "vm gc": "", "vm list": "", "vm rename": "", "vm show": "", "vm ssh": "",
		"run": "", "up": "", "ssh-config": "", "ssh-known-hosts": "", "ssh-proxy": "", "ps": "", "events": "", "df": "", "doctor": "", "version": "",
		"session attach": "", "session delete": "", "session kill": "", "session list": "", "session logs": "", "session prune": "",
		"session rm": "", "session search": "", "session send": "", "session show": "", "session signal": "", "session start": "",
		"exec": "", "shell": "", "cp": "", "session stop": "", "session wait": "",
		"image build": "", "image delete": "", "image import": "", "image list": "", "image prune": "", "image pull": "", "image show": "", "image tag": "",
		"kernel delete": "", "kernel list": "", "kernel prune": "", "kernel pull": "",
		"daemon logs": "", "daemon run": "", "daemon show": "", "daemon start": "", "daemon status": "", "daemon stop": "",
	}
}

// argumentsOf are what commands need beside the VM.
var argumentsOf = map[string][]string{"vm set": {"--autostart"}, "vm stop": {"--grace", "1ms"}, "vm restart": {"--grace", "1ms"}}

// leaves returns the commands below cmd that do something.
func leaves(cmd *cobra.Command, path ...string) []string {
	var all []string
	for _, sub := range cmd.Commands() {
		below := append(slices.Clone(path), sub.Name())
		if len(sub.Commands()) > 0 {
			all = append(all, leaves(sub, below...)...)
			continue
		}
		all = append(all, strings.Join(below, " "))
	}
	return all
}

// A command that no machine of its VM's kind can carry out is refused in one form: with
// the kind of the machine, what that lacks, and what to do instead.
func TestCommands_SayInOneFormWhatAMachineLacks(t *testing.T) {
	root, _ := (&CLI{}).rootCommand()
	for _, command := range leaves(root) {
		if _, ok := needs()[command]; !ok {
			t.Errorf("it is not said which capability banger %s needs of a VM's machine", command)
		}
	}
	for kind, host := range map[string]func(t *testing.T) (l *live, vm banger.VM){
		"an in-memory machine": inMemory, "a QEMU machine": emulated, "a remote host": remoteHost,
	} {
		t.Run(kind, func(t *testing.T) {
			l, vm := host(t)
			for command, need := range needs() {
				if need == "" || slices.Contains(vm.Capabilities, need) {
					continue
				}
				c := l.start(append(append(strings.Fields(command), argumentsOf[command]...), vm.Name)...)
				status, said := c.wait(), c.stderr.String()
				refusal := fmt.Sprintf(" VM %s: it is %s, which has no ", vm.Name, kind)
				if status != exitUsage || !strings.HasPrefix(said, "banger: cannot ") || !strings.Contains(said, refusal) || !strings.Contains(said, "\nhint: ") {
					t.Errorf("%s: exit status %d, %q", command, status, said)
				}
			}
		})
	}
}

// A command is not refused where its machine can: those that a test can have done are.
func TestCommands_DoWhatTheMachineCan(t *testing.T) {
	for kind, host := range map[string]func(t *testing.T) (l *live, vm banger.VM){"in memory": inMemory, "remote": remoteHost} {
		t.Run(kind, func(t *testing.T) {
			l, vm := host(t)
			done := 0
			for _, command := range []string{"vm console-log", "vm set", "vm stop", "vm start", "vm restart", "vm unlock"} {
				if !slices.Contains(vm.Capabilities, needs()[command]) {
					continue
				}
				done++
				c := l.start(append(append(strings.Fields(command), argumentsOf[command]...), vm.Name)...)
				if status := c.wait(); status != exitOK {
					t.Errorf("%s: exit status %d, %q", command, status, c.stderr)
				}
			}
			if done == 0 {
				t.Errorf("VM %s can nothing: %q", vm.Name, vm.Capabilities)
			}
		})
	}
}

// capable returns the record of a VM, which names what its machine can.
func (l *live) capable(name string) (*live, banger.VM) {
	l.t.Helper()
	vm, err := l.VMs.GetVM(l.t.Context(), name)
	if err != nil {
		l.t.Fatal(err)
	}
	return l, vm
}

func inMemory(t *testing.T) (*live, banger.VM) { return newLive(t).capable("dev") }

// emulated is a VM of QEMU that was never started.
func emulated(t *testing.T) (*live, banger.VM) {
	t.Helper()
	l := &live{hosttest.NewWith(t, bin, hosttest.Options{Driver: func(*inmem.Driver) vmm.Driver { return qemu.New(qemu.Config{}) }}), t}
	if _, err := l.VMs.CreateVM(t.Context(), banger.VMRequest{Name: "dev"}); err != nil {
		t.Fatal(err)
	}
	return l.capable("dev")
}

func remoteHost(t *testing.T) (*live, banger.VM) {
	t.Helper()
	home := t.TempDir()
	hosttest.NewSSHHome(t, home, hosttest.NewSSHServer(t, hosttest.SSHOptions{}))
	l := &live{hosttest.NewWith(t, bin, hosttest.Options{Home: home}), t}
	if _, err := l.Remotes.AddRemote(t.Context(), banger.RemoteRequest{Name: "far", SSH: "lab"}); err != nil {
		t.Fatal(err)
	}
	return l.capable("far")
}
