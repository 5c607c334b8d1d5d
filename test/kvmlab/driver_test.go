package kvmlab

import (
	"bytes"
	"io"
	"testing"
)

const (
	driverPackage = "banger/internal/machine/qemu"
	driverDir     = sent + "/driver" // in the lab: the driver's tests, and the initrd of their guest
	// driverTests are those of a guest's whole life. What the others prove does not depend
	// on the accelerator, and takes minutes here.
	driverTests = "^(TestDriver_KeepsTheContract|TestMachine_GuestMayPrintForEverAndReboot|TestMachine_ThatHangsBlocksNobodyAndIsKilled)$"
)

func TestKVMLab_DriverKeepsTheContractWithKVM(t *testing.T) {
	l := sharedLab(t)
	cmd := l.command(t, "root", "env", "-C", driverDir,
		"BANGER_TEST_ACCEL=kvm", "BANGER_TEST_INITRD="+driverDir+"/initrd",
		"BANGER_TEST_KERNEL=/boot/vmlinuz-"+l.image.KernelRelease,
		"./qemu.test", "-test.v", "-test.timeout", commandLimit.String(), "-test.run", driverTests)
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(t.Output(), &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatalf("the driver's tests failed in the lab: %v", err)
	}
	if n := bytes.Count(said.Bytes(), []byte("\n--- PASS: ")); n != 3 {
		t.Errorf("%d tests of the driver were run, want 3", n)
	}
	if bytes.Contains(said.Bytes(), []byte("--- SKIP")) {
		t.Error("a test of the driver was skipped")
	}
}
