package bench

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/internal/machine/qemu"
	"banger/test/installation"
)

// BenchmarkBoot measures the time from "vm start" to a session that runs, as a
// ratio to the bare floor: the same QEMU, kernel, memory and disks with an initrd
// whose init powers off at once. The two alternate in one run; the ratio is that
// of the medians.
func BenchmarkBoot(b *testing.B) {
	dir := b.TempDir()
	bin, err := installation.Build(dir, false)
	if err != nil {
		b.Fatal(err)
	}
	i := installation.New(b, bin)
	vm := i.StartVM(b, "v")
	i.MustRun(b, "vm", "stop", "v")
	floor := newFloor(b, i, vm)

	var floors, boots []time.Duration
	for b.Loop() {
		floors = append(floors, floor.run(b))
		boots = append(boots, boot(b, i))
	}
	b.ReportMetric(0, "ns/op") // the sum of both says nothing
	b.ReportMetric(median(floors).Seconds(), "floor-s")
	b.ReportMetric(median(boots).Seconds(), "boot-s")
	b.ReportMetric(median(boots).Seconds()/median(floors).Seconds(), "boot/floor")
}

// boot starts the VM and a session, and stops the VM without being measured.
func boot(b *testing.B, i *installation.Installation) time.Duration {
	c := i.Client()
	began := time.Now()
	if _, err := c.StartVM(b.Context(), "v"); err != nil {
		b.Fatal(err)
	}
	x, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Launch: banger.Launch{Command: "sleep", Args: []banger.ByteString{"1000"}, StdinMode: banger.StdinClosed}})
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
	spec   banger.MachineSpec
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
		spec: banger.MachineSpec{
			VMID: banger.NewVMID(), CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB,
			Kernel: filepath.Join(image, "vmlinuz"), Initrd: file.Name(), StateDir: dir, RuntimeDir: dir,
			Disks: []banger.MachineDisk{
				{Path: filepath.Join(image, "root.ext4"), Serial: "banger-image", ReadOnly: true},
				{Path: filepath.Join(i.Paths().VM(vm.ID), "system.img"), Serial: "banger-system"},
				{Path: filepath.Join(i.Paths().VM(vm.ID), "work.img"), Serial: "banger-work"},
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

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
