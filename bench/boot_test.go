package bench

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/internal/machine/qemu"
	"banger/internal/vmm"
	"banger/test/installation"
)

// BenchmarkBoot measures the time from "vm start" to a session that runs, as a
// ratio to the bare floor: the same QEMU, kernel, memory and disks with an initrd
// whose init powers off at once.
func BenchmarkBoot(b *testing.B) {
	for b.Loop() {
		i := installation.New(b, bin)
		vm := i.StartVM(b, "v")
		i.MustRun(b, "vm", "stop", "v")
		floor := newFloor(b, i, vm)
		m := &measure{Name: "Boot", Title: "A VM starts and has a session that runs", Place: "guest", Unit: "ns/op", Series: alternate(b, 3,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration { return boot(b, i) }},
			contender{name: "floor", do: func(b *testing.B, _ int) time.Duration { return floor.run(b) }},
		)}
		m.atMost("boot to session ready", m.of("banger", 0.5), m.of("floor", 0.5), 1.5)
		m.record(b)
	}
}

// BenchmarkBootForeign measures the same for a VM of an OCI image of 1 GiB in 10 layers,
// beside one of the default image.
func BenchmarkBootForeign(b *testing.B) {
	for b.Loop() {
		dir := layoutOf(b, bigImage(b))
		ours, theirs := installation.New(b, bin), installation.New(b, bin)
		ours.StartVM(b, "v")
		ours.MustRun(b, "vm", "stop", "v")
		theirs.Image(b)
		theirs.MustRun(b, "image", "import", dir+":x", "--name", "bench-big")
		b.Cleanup(func() { theirs.MustRun(b, "vm", "delete", "v"); theirs.MustRun(b, "image", "delete", "bench-big") })
		theirs.MustRun(b, "vm", "create", "v", "--image", "bench-big")
		m := &measure{Name: "BootForeign", Title: "A VM of an OCI image starts and has a session that runs", Place: "guest", Unit: "ns/op", Series: alternate(b, 5,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration { return boot(b, theirs) }},
			contender{name: "default", do: func(b *testing.B, _ int) time.Duration { return boot(b, ours) }},
		)}
		m.atMost("boot of an OCI image, against the default image", m.of("banger", 0.5), m.of("default", 0.5), 1.1)
		m.record(b)
	}
}

// boot starts the VM and a session, and stops the VM without being measured.
func boot(b *testing.B, i *installation.Installation) time.Duration {
	c := i.Client()
	began := time.Now()
	if _, err := c.StartVM(b.Context(), "v"); err != nil {
		b.Fatal(err)
	}
	x, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Launch: idleLaunch()})
	took := time.Since(began)
	if err != nil || x.Status != banger.StatusRunning {
		b.Fatalf("the session does not run: %v %+v", err, x.SessionState)
	}
	i.MustRun(b, "vm", "stop", "v")
	return took
}

// floor is a machine that powers off at once.
type floor struct {
	driver *qemu.Driver
	spec   vmm.MachineSpec
}

func newFloor(b *testing.B, i *installation.Installation, vm banger.VM) floor {
	dir := b.TempDir()
	file, err := os.Create(filepath.Join(dir, "initrd"))
	if err == nil {
		err = initrd.Poweroff(file)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	image := i.Paths().Image(vm.ImageID)
	return floor{
		driver: qemu.New(qemu.Config{
			VerdictCache: i.Paths().KVMVerdict(), Poweroff: func(w io.Writer) error { return initrd.Poweroff(w) },
			Log: slog.New(slog.DiscardHandler),
		}),
		spec: vmm.MachineSpec{
			VMID: banger.NewVMID(), CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB,
			Kernel: filepath.Join(image, "vmlinux"), Initrd: file.Name(), StateDir: dir,
			Disks: []vmm.MachineDisk{
				{Name: vmm.ImageDisk, Path: filepath.Join(image, "root.ext4"), ReadOnly: true},
				{Name: vmm.SystemDisk, Path: filepath.Join(i.Paths().VM(vm.ID), "system.img")},
				{Name: vmm.WorkDisk, Path: filepath.Join(i.Paths().VM(vm.ID), "work.img")},
			},
		},
	}
}

func (f floor) run(b *testing.B) time.Duration {
	began := time.Now()
	m, err := f.driver.Start(b.Context(), f.spec)
	if err != nil {
		b.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(time.Minute):
		b.Error("the machine of the floor does not power off")
	}
	took := time.Since(began)
	if err := m.Kill(b.Context()); err != nil {
		b.Error(err)
	}
	if err := m.Close(); err != nil {
		b.Error(err)
	}
	return took
}
