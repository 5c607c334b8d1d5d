package kvmlab

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"banger/internal/image/initrd"
)

// The folders of the driver's tests and of their guest's init.
const (
	driverPackage = "banger/internal/machine/qemu"
	guestPackage  = driverPackage + "/testdata/guest"
	driverDir     = "/root/driver" // in the lab
)

func TestKVMLab_DriverKeepsTheContractWithKVM(t *testing.T) {
	l := sharedLab(t)
	dir := t.TempDir()
	build(t, filepath.Join(dir, "qemu.test"), "test", "-c", driverPackage)
	writeInitrd(t, l, filepath.Join(dir, "initrd"))
	l.sh(t, `mkdir "$1"`, driverDir)
	l.send(t, dir, driverDir, "qemu.test", "initrd")

	cmd := l.host.Command(t.Context(), l.inside("env", "-C", driverDir,
		"BANGER_TEST_ACCEL=kvm", "BANGER_TEST_INITRD="+driverDir+"/initrd",
		"BANGER_TEST_KERNEL=/boot/vmlinuz-"+l.image.KernelRelease,
		"./qemu.test", "-test.v", "-test.timeout", "10m")...)
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(t.Output(), &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatalf("the driver's tests failed in the lab: %v", err)
	}
	if !bytes.Contains(said.Bytes(), []byte("--- PASS: TestDriver_KeepsTheContract ")) {
		t.Error("the driver's conformance suite was not run")
	}
	if bytes.Contains(said.Bytes(), []byte("--- SKIP")) {
		t.Error("a test of the driver was skipped")
	}
}

// writeInitrd writes the initrd of the test guest: what the driver's tests make
// by themselves where there is a Go.
func writeInitrd(t *testing.T, l *lab, path string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "guest")
	build(t, program, "build", guestPackage)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	modules := filepath.Join(l.host.Paths().Image(l.image.ID), "modules", l.image.KernelRelease)
	files := initrd.BaseFiles{Agent: program, Shim: program, ModulesDir: modules}.WithDefaultModules()
	if err := initrd.Base(f, files); err != nil {
		t.Fatal(err)
	}
}
