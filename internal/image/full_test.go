//go:build !unit

package image

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/internal/diskspace"
)

// inNamespace marks the run of this test in a mount namespace of its own.
const inNamespace = "BANGER_TEST_IN_MOUNT_NAMESPACE"

// A disk can be filled without root and without harm on a tmpfs that only one
// process sees: so the test runs itself again in namespaces of its own.
func TestBuildImage_FullDiskLeavesNothing(t *testing.T) {
	if os.Getenv(inNamespace) != "" {
		fullDisk(t)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

func fullDisk(t *testing.T) {
	for name, big := range map[string]string{
		"root":   "./usr/share/big",
		"kernel": "./boot/vmlinuz-" + testRelease,
		"module": "./usr/lib/modules/" + testRelease + "/kernel/big.ko",
	} {
		t.Run(name, func(t *testing.T) {
			files := testFiles()
			files[big] = strings.Repeat("x", 6<<20)
			f := newFixture(t, &fakeBuilder{system: testSystem(t, files)})
			if err := os.MkdirAll(f.Paths.Images(), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", f.Paths.Images(), "tmpfs", 0, "size=4m"); err != nil {
				t.Fatal(err)
			}
			_, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, nil)
			var e *banger.Error
			if !errors.As(err, &e) || e.Code != banger.CodeMissing || !strings.Contains(e.Message, "disk is full") || e.Hint == "" {
				t.Errorf("error is %v", err)
			}
			if left := f.leftovers(t); left != "" {
				t.Errorf("left behind: %s", left)
			}
			if space, err := diskspace.Of(f.Paths.Images()); err != nil || space.Free != 4<<20 {
				t.Errorf("%d bytes of the disk are free again, want all: %v", space.Free, err)
			}
			if err := syscall.Unmount(filepath.Clean(f.Paths.Images()), 0); err != nil {
				t.Error(err)
			}
		})
	}
}
