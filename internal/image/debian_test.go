package image

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/image/initrd"
	"banger/internal/image/mmdebstrap"
)

// counting is a builder that knows how often it has built.
type counting struct {
	RootBuilder
	builds int
}

func (c *counting) Build(ctx context.Context, r banger.ImageRecipe, scratch string, stream io.Writer, progress func(string, float64)) error {
	c.builds++
	return c.RootBuilder.Build(ctx, r, scratch, stream, progress)
}

// TestBuildImage_MakesDebian is the one test with a real system: it takes what
// three builds take, one of them cut short.
func TestBuildImage_MakesDebian(t *testing.T) {
	builder := &counting{RootBuilder: mmdebstrap.New()}
	f := newFixture(t, builder)
	f.need = usualSpace()
	interrupted(t, f)
	begin := time.Now()
	image, err := f.BuildImage(t.Context(), "default", banger.ImageRecipe{}, func(p banger.BuildProgress) {
		t.Logf("%5.1f%% %6.1fs %s %s", p.Percent, p.Elapsed.Seconds(), p.Stage, p.Detail)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built %+v in %v", image, time.Since(begin))
	if left := f.leftovers(t); left != "" {
		t.Errorf("left behind: %s", left)
	}
	files, err := f.Files(t.Context(), image.ID)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("root file system", func(t *testing.T) { checkRoot(t, files.Root) })
	t.Run("modules", func(t *testing.T) { checkModules(t, files.Modules) })
	t.Run("kernel", func(t *testing.T) { checkPoweroff(t, files.Kernel) })

	builds := builder.builds
	if again := f.mustBuild(t, "default", banger.ImageRecipe{}); again.ID != image.ID || builder.builds != builds {
		t.Errorf("second build made %s by %d more builds, want %s at once", again.ID, builder.builds-builds, image.ID)
	}
	if err := os.Remove(files.Root); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Files(t.Context(), image.ID); banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("without its root file system: %v", err)
	}
	// Equal packages make equal bytes: else this would be another image, and the
	// VMs of the old one would not be helped.
	if again := f.mustBuild(t, "default", banger.ImageRecipe{}); again.ID != image.ID {
		t.Errorf("rebuilt %s as %s", image.ID, again.ID)
	}
	if _, err := f.Files(t.Context(), image.ID); err != nil {
		t.Error(err)
	}
}

// interrupted cancels a build while packages are being installed.
func interrupted(t *testing.T, f fixture) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user went home")
	_, err := f.BuildImage(ctx, "default", banger.ImageRecipe{}, func(p banger.BuildProgress) {
		if strings.HasPrefix(p.Stage, "installing") {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) {
		t.Fatalf("interrupted build: %v", err)
	}
	if left := f.leftovers(t); left != "" {
		t.Errorf("an interrupted build left %s", left)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || bytes.Contains(mounts, []byte(f.scratch)) {
		t.Errorf("an interrupted build left mounts, %v:\n%s", err, mounts)
	}
}

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
		"-display", "none", "-serial", "stdio", "-kernel", kernel, "-initrd", path, "-append", "console=ttyS0 panic=-1").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("reboot: Power down")) {
		t.Errorf("the guest did not power off: %v\n%s", err, out)
	}
}
