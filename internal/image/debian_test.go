//go:build !unit

package image_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"banger/internal/image/initrd"
	"banger/test/testimage"
)

// What is built is Debian: the image that all tests boot from has been built by the service
// with mmdebstrap. That another build of it makes the same bytes is seen by make fault.
func TestBuildImage_MakesDebian(t *testing.T) {
	files, err := testimage.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("root file system", func(t *testing.T) { checkRoot(t, files.Roots[0]) })
	t.Run("modules", func(t *testing.T) { checkModules(t, files.Modules) })
	t.Run("kernel", func(t *testing.T) {
		if filepath.Base(files.Kernel) != vmlinux {
			t.Errorf("machines boot %s, which has to unpack itself", files.Kernel)
		}
		checkPoweroff(t, files.Kernel)
	})
}

// vmlinux is the name of an unpacked kernel.
const vmlinux = "vmlinux"

// checkRoot reads back what a tar can lose, and what a build must not leave.
func checkRoot(t *testing.T, root string) {
	for command, want := range map[string]string{
		"stat /usr/bin/su":          "Mode:  04755",
		"stat /tmp":                 "Mode:  01777",
		"stat /etc/shadow":          "Group:    42",
		"stat /dev/null":            "character special",
		"stat /usr/bin/perl":        "Links: 2",
		"stat /bin":                 `"usr/bin"`,
		"stat /usr/bin/ps":          "Type: regular",
		"stat /usr/bin/git":         "Type: regular",
		"stat /usr/bin/sudo":        "Mode:  04755",
		"stat /home/dev":            "User:  1000",
		"stat /etc/sudoers.d/dev":   "Mode:  0440",
		"stat /usr/sbin/ip":         "symlink",
		"cat /usr/lib/os-release":   "VERSION_CODENAME=bookworm",
		"ls /etc/dpkg/dpkg.cfg.d":   "..",
		"cat /etc/apt/sources.list": "bookworm-security",
	} {
		out, err := exec.CommandContext(t.Context(), "/sbin/debugfs", "-R", command, root).CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("%s says %q, want %q in it: %v", command, out, want, err)
		}
		if bytes.Contains(out, []byte("99mmdebstrap")) {
			t.Errorf("options of the build are left in the system: %s", out)
		}
	}
	out, err := exec.CommandContext(t.Context(), "/sbin/debugfs", "-R", "ls -p /boot", root).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("initrd")) {
		t.Errorf("the build made an initrd, which no guest uses: %s, %v", out, err)
	}
}

// checkModules writes a base initrd with the modules of Debian's kernel.
func checkModules(t *testing.T, modules string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := initrd.Base(&b, initrd.BaseFiles{Agent: self, Shim: self, ModulesDir: modules}.WithDefaultModules()); err != nil {
		t.Fatal(err)
	}
	// The list is the archive's last file; the name may be in this binary too.
	ring := bytes.LastIndex(b.Bytes(), []byte("/virtio_ring.ko\n"))
	bus := bytes.LastIndex(b.Bytes(), []byte("/virtio.ko\n"))
	if ring < 0 || bus < 0 || ring > bus {
		t.Errorf("virtio_ring is listed at %d and virtio at %d", ring, bus)
	}
}

// checkPoweroff boots the kernel, emulated, with the initrd that powers off.
func checkPoweroff(t *testing.T, kernel string) {
	path := filepath.Join(t.TempDir(), "initrd")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(initrd.Poweroff(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "q35,accel=tcg", "-cpu", "max", "-m", "256", "-nodefaults",
		"-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", path, "-append", "console=ttyS0 panic=-1 cryptomgr.notests").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("reboot: Power down")) {
		t.Errorf("the guest did not power off: %v\n%s", err, out)
	}
}
