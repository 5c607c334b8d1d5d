//go:build !unit

package qemu_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/internal/machine/qemu"
	"banger/internal/vmm"
	"banger/test/wait"
)

func TestStart_SaysWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*vmm.MachineSpec)
		code   banger.Code
		says   string // in the message or the hint
	}{
		"kernel is gone":     {func(s *vmm.MachineSpec) { s.Kernel += ".gone" }, banger.CodeCorrupt, "vmlinux"},
		"initrd is gone":     {func(s *vmm.MachineSpec) { s.Initrd += ".gone" }, banger.CodeCorrupt, "initrd.gone"},
		"disk is gone":       {func(s *vmm.MachineSpec) { s.Disks[0].Path += ".gone" }, banger.CodeCorrupt, "raw.gone"},
		"too much memory":    {func(s *vmm.MachineSpec) { s.MemoryMiB = banger.MaxMemoryMiB }, banger.CodeMissing, "memory"},
		"negative memory":    {func(s *vmm.MachineSpec) { s.MemoryMiB = -1 }, banger.CodeInvalid, "-1 MiB"},
		"no CPUs":            {func(s *vmm.MachineSpec) { s.CPUs = 0 }, banger.CodeInvalid, "0 CPUs"},
		"serial is too long": {func(s *vmm.MachineSpec) { s.Disks[0].Name = vmm.DiskName(strings.Repeat("s", 14)) }, banger.CodeInvalid, "20 bytes"},
		"relative path":      {func(s *vmm.MachineSpec) { s.Kernel = "vmlinuz" }, banger.CodeInvalid, "not absolute"},
		"not an id":          {func(s *vmm.MachineSpec) { s.VMID = "a,b=c" }, banger.CodeInvalid, "not an id"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := newSpec(t)
			spec.Disks = []vmm.MachineDisk{newDisk(t, "disk", "", false)}
			test.change(&spec)
			m, err := newDriver().Start(t.Context(), spec)
			if err == nil {
				_ = m.Kill(t.Context())
				m.Close()
				t.Fatal("Start succeeded")
			}
			if banger.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %q with code %s; want code %s and %q", err, banger.CodeOf(err), test.code, test.says)
			}
			if entries, _ := os.ReadDir(spec.StateDir); len(entries) > 0 {
				t.Errorf("%v are left over", entries)
			}
		})
	}
}

func TestStart_NamesThePackageOfAMissingQEMU(t *testing.T) {
	d := qemu.New(qemu.Config{Accel: qemu.AccelTCG, Binary: "qemu-system-nowhere"})
	_, err := d.Start(t.Context(), newSpec(t))
	var e *banger.Error
	if banger.CodeOf(err) != banger.CodeMissing || !errors.As(err, &e) || !strings.Contains(e.Hint, "qemu-system-x86") {
		t.Errorf("Start without QEMU: %v, want code %s and the package", err, banger.CodeMissing)
	}
}

// A starter may be killed at any moment: what runs then is on record, and what
// is not on record does not run.
func TestStart_StarterThatIsKilledLeavesNoUnknownMachine(t *testing.T) {
	const moments, beyond = 20, 4 // the last ones lie behind the start
	whole := timeStarter(t)
	var adopted int
	for i := range moments {
		spec := newSpec(t)
		cmd := starter(t, spec)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		delay := whole * time.Duration(i) / (moments - beyond)
		time.Sleep(delay) // the moment of the kill is what varies
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		if killRecorded(t, spec) {
			adopted++
		}
		// The gate that nobody opened gives up by itself.
		wait.For(t, "nothing runs any more", func() bool { return len(processesOf(t, spec.VMID)) == 0 })

		again, err := newDriver().Start(t.Context(), spec)
		if err != nil {
			t.Fatalf("Start after a starter was killed after %v: %v", delay, err)
		}
		if err := errors.Join(again.Kill(t.Context()), again.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Logf("a start takes %v; %d machines were adopted", whole, adopted)
	if adopted == 0 {
		t.Error("no starter was killed late enough to leave a machine")
	}
}

// timeStarter returns how long a starter takes until its machine runs.
func timeStarter(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	ref := startElsewhere(t, newSpec(t))
	whole := time.Since(begin)
	m, err := newDriver().Adopt(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.(vmm.Powered).Kill(t.Context()), m.Close()); err != nil {
		t.Fatal(err)
	}
	return whole
}

// killRecorded kills the machine that is on record, and reports whether it ran.
func killRecorded(t *testing.T, spec vmm.MachineSpec) bool {
	t.Helper()
	ref, err := os.ReadFile(filepath.Join(spec.StateDir, vmm.MachineRefName))
	if errors.Is(err, os.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := newDriver().Adopt(t.Context(), ref)
	if errors.Is(err, vmm.ErrMachineGone) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if address := m.Info().SSHAddress; strings.HasSuffix(address, ":0") {
		t.Errorf("the machine was adopted with the address %s", address)
	}
	if err := errors.Join(m.(vmm.Powered).Kill(t.Context()), m.Close()); err != nil {
		t.Error(err)
	}
	return true
}

// Whatever KVM does on this host, there is a verdict and it is kept.
func TestChecks_TryKVMOnThisHost(t *testing.T) {
	files, err := guestFiles()
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "kvm.json")
	d := qemu.New(qemu.Config{VerdictCache: cache, Poweroff: initrd.Poweroff})
	begin := time.Now()
	first := d.Checks(t.Context(), files.kernel)
	t.Logf("%+v, after %v", first, time.Since(begin))
	second := qemu.New(qemu.Config{VerdictCache: cache, Poweroff: initrd.Poweroff}).Checks(t.Context(), files.kernel)
	if !slices.Equal(first, second) {
		t.Errorf("the checks say %+v, then %+v", first, second)
	}
}
