package kvmlab

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
)

const (
	driverPackage = "banger/internal/machine/qemu"
	driverDir     = sent + "/driver" // in the lab: the driver's tests, and the initrd of their guest
)

// driverTests returns those of a guest's whole life. What the others prove does not depend
// on the accelerator, and takes minutes here. Some of these take minutes, too: in make test
// it is one life that is seen with KVM, in make kvm-lab all.
func driverTests() (run string, names []string) {
	if os.Getenv("BANGER_LAB_FULL") == "" {
		return "^TestDriver_KeepsTheContract$/^life_of_a_machine$", []string{"TestDriver_KeepsTheContract/life_of_a_machine"}
	}
	names = []string{"TestDriver_KeepsTheContract", "TestMachine_GuestMayPrintForEverAndReboot", "TestMachine_ThatHangsBlocksNobodyAndIsKilled"}
	return "^(" + strings.Join(names, "|") + ")$", names
}

func TestKVMLab_DriverKeepsTheContractWithKVM(t *testing.T) {
	l := sharedLab(t)
	tests, names := driverTests()
	cmd := l.command(t, "root", "env", "-C", driverDir,
		"BANGER_TEST_ACCEL=kvm", "BANGER_TEST_INITRD="+driverDir+"/initrd",
		"BANGER_TEST_KERNEL=/boot/vmlinuz-"+l.image.KernelRelease,
		"./qemu.test", "-test.v", "-test.timeout", commandLimit.String(), "-test.run", tests)
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(t.Output(), &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatalf("the driver's tests failed in the lab: %v", err)
	}
	for _, name := range names {
		if !bytes.Contains(said.Bytes(), []byte("--- PASS: "+name+" (")) {
			t.Errorf("%s of the driver was not run", name)
		}
	}
	if bytes.Contains(said.Bytes(), []byte("--- SKIP")) {
		t.Error("a test of the driver was skipped")
	}
}
