package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"time"

	"banger"
	"banger/internal/process"
	"banger/internal/vmm"
)

// Accel says what executes a guest's instructions.
type Accel string

// The accelerators. AccelAuto is KVM where a trial guest boots with it, else TCG.
const (
	AccelAuto Accel = ""
	AccelKVM  Accel = "kvm"
	AccelTCG  Accel = "tcg"
)

// Config is what a driver needs of its surroundings.
type Config struct {
	Accel Accel
	// Binary is QEMU's name in PATH or its path; default qemu-system-x86_64.
	Binary string
	// VerdictCache is the file that keeps what KVM was found to do on this host.
	VerdictCache string
	// TrialLimit is how long the trial guest may take that reports whether KVM
	// works; default 3 s.
	TrialLimit time.Duration
	// Poweroff writes an initrd whose init powers off at once, for the trial guest.
	Poweroff func(io.Writer) error
	// Cgroups keeps machines out of control groups that end with a login or a
	// service; nil where nothing does that.
	Cgroups Cgroups
	Log     *slog.Logger // default: none
}

// Cgroups is what systemd does on a host that it runs; internal/systemd.Host does.
type Cgroups interface {
	// Keep moves processes into a scope of their own where the first lives longer there.
	Keep(ctx context.Context, pids []int, unit, description string) (moved bool, err error)
	// Threat says what ends a process without a request, and what helps; "" if nothing does.
	Threat(pid int) (threat, remedy string, err error)
}

// Driver implements vmm.Starter and vmm.ConsoleLogger.
type Driver struct {
	config Config
	log    *slog.Logger
	kvm    *kvm
	watch  *fileWatch
}

const defaultBinary = "qemu-system-x86_64"

// New returns a driver. It starts nothing; a driver without machines holds nothing.
func New(c Config) *Driver {
	if c.Binary == "" {
		c.Binary = defaultBinary
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{config: c, log: c.Log, kvm: newKVM(c), watch: &fileWatch{}}
}

// Name implements vmm.Driver.
func (d *Driver) Name() string { return "qemu" }

// Kind implements vmm.Driver.
func (d *Driver) Kind() vmm.Kind {
	return vmm.Kind{Noun: "a QEMU machine", Instead: map[banger.Capability]string{
		banger.CanUnlock: "it lets banger in by itself: banger vm ssh VM",
	}}
}

// ConsoleLogs implements vmm.ConsoleLogger.
func (d *Driver) ConsoleLogs() []string { return []string{consoleName, consoleName + oldSuffix} }

// Start implements vmm.Starter. Beside the console's log it keeps QEMU's own
// output and its control socket in spec.StateDir.
func (d *Driver) Start(ctx context.Context, spec vmm.MachineSpec) (vmm.Owned, error) {
	if err := checkSpec(spec); err != nil {
		return nil, err
	}
	binary, err := findBinary(d.config.Binary)
	if err != nil {
		return nil, err
	}
	accel, err := d.accelerator(ctx, spec.Kernel)
	if err != nil {
		return nil, err
	}
	lock, err := lockStateDir(spec.StateDir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if pid := runningIn(spec.StateDir); pid != 0 {
		return nil, banger.Errorf(banger.CodeState, "cannot start machine of VM %s: it runs already, as process %d", spec.VMID, pid)
	}
	l := &launch{spec: spec, binary: binary, accel: accel}
	m, err := l.start(ctx, d)
	if err != nil {
		return nil, err // and no machine: a nil *machine is not a nil Machine
	}
	return m, nil
}

// Adopt implements vmm.Driver. It asks the machine itself only if its starter
// died so early that the port of its SSH server is not in the ref.
func (d *Driver) Adopt(ctx context.Context, ref json.RawMessage) (vmm.Machine, error) {
	r, err := parseRecord(ref)
	if err != nil {
		return nil, err
	}
	proc, err := r.open()
	if errors.Is(err, process.ErrGone) {
		return nil, vmm.ErrMachineGone
	}
	if err != nil {
		return nil, fmt.Errorf("cannot adopt machine %s: %w", r.Name, err)
	}
	m := newMachine(d, r, proc)
	if r.SSHPort == 0 {
		if err := m.learnPort(ctx); err != nil {
			return nil, errors.Join(m.explain(ctx, "adopt machine", err), m.Close())
		}
	}
	return m, nil
}

// PoweredOff implements vmm.Starter.
func (d *Driver) PoweredOff(ref json.RawMessage) bool {
	r, err := parseRecord(ref)
	return err == nil && r.saidOff()
}

// accelerator decides how to run a guest with this kernel.
func (d *Driver) accelerator(ctx context.Context, kernel string) (Accel, error) {
	if d.config.Accel != AccelAuto {
		return d.config.Accel, nil
	}
	v, err := d.kvm.verdict(ctx, kernel)
	if err != nil {
		return "", err
	}
	if v.Usable {
		return AccelKVM, nil
	}
	d.config.Log.Info("the guest is emulated: KVM does not work", "cause", v.Reason)
	return AccelTCG, nil
}

func findBinary(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", banger.Errorf(banger.CodeMissing, "cannot find QEMU: %w", err).
			WithHint("apt-get install %s", debianPackage)
	}
	return path, nil
}

// debianPackage is what has QEMU for the guests that we run.
const debianPackage = "qemu-system-x86"
