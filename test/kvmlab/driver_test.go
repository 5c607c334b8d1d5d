//go:build lab

package kvmlab

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	driverPackage = "banger/internal/machine/qemu"
	driverDir     = "/srv/driver" // in the lab: the driver's tests, and the initrd of their guest
)

// driverTests returns those of a guest's whole life. What the others prove does not depend
// on the accelerator, and takes minutes here.
func driverTests() []string {
	return []string{"TestDriver_KeepsTheContract", "TestMachine_GuestMayPrintForEverAndReboot", "TestMachine_ThatHangsBlocksNobodyAndIsKilled"}
}

func TestKVMLab_DriverKeepsTheContractWithKVM(t *testing.T) {
	l := sharedLab(t)
	dir := t.TempDir()
	build(t, filepath.Join(dir, "qemu.test"), "test", "-c", driverPackage)
	l.writeInitrd(t, filepath.Join(dir, "initrd"), driverPackage+"/testdata/guest")
	l.send(t, dir, driverDir)

	cmd := l.command(t, "root", "env", "-C", driverDir,
		"BANGER_TEST_ACCEL=kvm", "BANGER_TEST_INITRD="+driverDir+"/initrd",
		"BANGER_TEST_KERNEL=/boot/vmlinuz-"+l.image.KernelRelease,
		"./qemu.test", "-test.v", "-test.timeout", commandLimit.String(), "-test.run", "^("+strings.Join(driverTests(), "|")+")$")
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(t.Output(), &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatalf("the driver's tests failed in the lab: %v", err)
	}
	for _, name := range driverTests() {
		if !bytes.Contains(said.Bytes(), []byte("--- PASS: "+name+" (")) {
			t.Errorf("%s of the driver was not run", name)
		}
	}
	if bytes.Contains(said.Bytes(), []byte("--- SKIP")) {
		t.Error("a test of the driver was skipped")
	}
}

// send copies the files of a directory into a new one of the lab, where root owns it.
func (l *lab) send(t *testing.T, dir, target string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.root(t, `mkdir "$1"`, target)
	for _, e := range entries {
		f, err := os.Open(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		cmd := l.command(t, "root", "sh", "-euc", `cat >"$1"; chmod 755 "$1"`, "sh", target+"/"+e.Name())
		cmd.Stdin = f
		out, err := cmd.CombinedOutput()
		f.Close()
		if err != nil {
			t.Fatalf("cannot send %s to the lab: %v\n%s", e.Name(), err, out)
		}
	}
}
