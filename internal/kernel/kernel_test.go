package kernel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/internal/debian"
	"banger/internal/debian/debiantest"
	"banger/internal/diskusage"
	"banger/internal/kernel"
	"banger/internal/kmod/kmodtest"
	"banger/internal/paths"
	"banger/internal/vmlinux/vmlinuxtest"
)

// fixture is a service over an archive, with VMs that the test has made up.
type fixture struct {
	*kernel.Service
	archive *debiantest.Archive
	vms     *vms
}

type vms struct{ list []banger.VM }

func (v *vms) ListVMs(context.Context) ([]banger.VM, error) { return v.list, nil }

// files are those of a package with a kernel.
func files(t *testing.T, release string) map[string][]byte {
	t.Helper()
	packed, err := vmlinuxtest.BzImage("zstd", vmlinuxtest.Kernel(true))
	if err != nil {
		t.Fatal(err)
	}
	module, err := kmodtest.Module("depends=")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"boot/vmlinuz-" + release:                        packed,
		"boot/config-" + release:                         []byte("CONFIG=y\n"),
		"lib/modules/" + release + "/modules.builtin":    []byte("kernel/fs/ext4.ko\n"),
		"lib/modules/" + release + "/kernel/overlay.ko":  module,
		"usr/share/doc/linux-image-" + release + "/NEWS": nil,
	}
}

func addKernel(t *testing.T, a *debiantest.Archive, version string) {
	t.Helper()
	release := version + "+deb12-cloud-amd64"
	a.Add("debian", banger.DefaultSuite, debiantest.Package{Name: "linux-image-" + release, Version: version + "-1", Files: files(t, release)})
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	a, v := debiantest.New(t), &vms{}
	addKernel(t, a, "6.12.9")
	dir := t.TempDir()
	p := paths.Paths{Config: filepath.Join(dir, "c"), Data: filepath.Join(dir, "d"), State: filepath.Join(dir, "s")}
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	return &fixture{
		Service: kernel.New(kernel.Config{Archive: a.Archives(), VMs: v, Paths: p, Log: slog.New(slog.DiscardHandler)}), archive: a, vms: v,
	}
}

func (f *fixture) pull(t *testing.T) banger.Kernel {
	t.Helper()
	k, err := f.PullKernel(t.Context(), banger.KernelRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// left returns what there is in the directory of kernels.
func (f *fixture) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(kernel.Dir(f.Paths))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPullKernel_HasAllThatAMachineBoots(t *testing.T) {
	f := newFixture(t)
	var stages []string
	k, err := f.PullKernel(t.Context(), banger.KernelRequest{}, func(p banger.BuildProgress) { stages = append(stages, p.Stage) })
	if err != nil {
		t.Fatal(err)
	}
	if k.Release != "6.12.9+deb12-cloud-amd64" || k.Version != "6.12.9-1" || k.Digest == "" || k.SizeBytes == 0 || !slices.Contains(stages, "fetching "+k.Package) {
		t.Errorf("%+v, with the stages %q", k, stages)
	}
	got, err := f.Files(k.ID)
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := os.ReadFile(got.Kernel); err != nil || !bytes.Equal(unpacked, vmlinuxtest.Kernel(true)) {
		t.Errorf("%s is not the kernel, unpacked: %v", got.Kernel, err)
	}
	if dep, err := os.ReadFile(filepath.Join(got.Modules, "modules.dep")); err != nil || string(dep) != "kernel/overlay.ko:\n" || filepath.Base(got.Modules) != k.Release {
		t.Errorf("modules in %s: %q, %v", got.Modules, dep, err)
	}
	if left := f.left(t); !slices.Equal(left, []string{string(k.ID)}) {
		t.Errorf("%q are left", left)
	}
	if err := f.Verify(k.ID); err != nil {
		t.Error(err)
	}
	f.archive.Asked()
	if again := f.pull(t); again.ID != k.ID || !again.PulledAt.Equal(k.PulledAt) {
		t.Errorf("again: %+v", again)
	}
	for _, file := range f.archive.Asked() {
		if strings.HasSuffix(file, ".deb") {
			t.Errorf("%s came again", file)
		}
	}
}

func TestPullKernel_BrokenOneIsReplaced(t *testing.T) {
	f := newFixture(t)
	k := f.pull(t)
	got, err := f.Files(k.ID)
	if err == nil {
		err = os.Truncate(got.Kernel, 5)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Files(k.ID)
	if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != banger.CodeCorrupt || !strings.Contains(e.Hint, "kernel pull "+k.Package) {
		t.Errorf("of one that was cut off: %v", err)
	}
	f.pull(t)
	if _, err := f.Files(k.ID); err != nil {
		t.Errorf("pulled again: %v", err)
	}
}

// A pull that fails leaves nothing, and says what to do.
func TestPullKernel_FailureLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *fixture)
		code  banger.Code
	}{
		"changed on its way": {func(f *fixture) { f.archive.Spoil(".deb") }, banger.CodeCorrupt},
		"broken off":         {func(f *fixture) { f.archive.Cut(".deb") }, banger.CodeUnavailable},
		"gone":               {func(f *fixture) { f.archive.Hide(".deb") }, banger.CodeUnavailable},
		"full disk":          {func(f *fixture) { f.Archive = fullDisk{f.archive.Archives()} }, banger.CodeMissing},
		"too large":          {func(f *fixture) { f.Archive = huge{f.archive.Archives()} }, banger.CodeMissing},
		"unknown":            {func(f *fixture) { f.Archive = unknown{f.archive.Archives()} }, banger.CodeNotFound},
	} {
		f := newFixture(t)
		c.spoil(f)
		_, err := f.PullKernel(t.Context(), banger.KernelRequest{}, nil)
		if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != c.code || e.Hint == "" {
			t.Errorf("%s: %v (%s), want %s and a next step", name, err, banger.CodeOf(err), c.code)
		}
		if left := f.left(t); len(left) > 0 {
			t.Errorf("%s: %q are left", name, left)
		}
	}
}

// Archives that do what a test cannot have a server do.
type (
	fullDisk struct{ debian.Archives }
	huge     struct{ debian.Archives }
	unknown  struct{ debian.Archives }
	stopped  struct {
		debian.Archives
		cancel context.CancelFunc
	}
)

func (fullDisk) Fetch(context.Context, debian.Package, io.Writer, func(int64)) error {
	return syscall.ENOSPC
}

func (h huge) FindKernel(ctx context.Context, mirror, suite, name string) (debian.Package, error) {
	p, err := h.Archives.FindKernel(ctx, mirror, suite, name)
	p.Installed = 1 << 60
	return p, err
}

func (u unknown) FindKernel(ctx context.Context, mirror, suite, _ string) (debian.Package, error) {
	return u.Archives.FindKernel(ctx, mirror, suite, "5.10")
}

func (s stopped) Fetch(ctx context.Context, p debian.Package, w io.Writer, advance func(int64)) error {
	s.cancel()
	return s.Archives.Fetch(ctx, p, w, advance)
}

func TestPullKernel_InterruptedLeavesNothing(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.Archive = stopped{f.archive.Archives(), cancel}
	if _, err := f.PullKernel(ctx, banger.KernelRequest{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if left := f.left(t); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	killed := filepath.Join(kernel.Dir(f.Paths), ".pull-of-a-daemon-that-was-killed")
	if err := os.MkdirAll(filepath.Join(killed, "kernel"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Sweep(); err != nil {
		t.Fatal(err)
	}
	if left := f.left(t); len(left) > 0 {
		t.Errorf("%q are left of a daemon that was killed", left)
	}
}

func TestDeleteKernel_RefusesOneInUseAndNamesTheVMs(t *testing.T) {
	f := newFixture(t)
	k := f.pull(t)
	f.vms.list = []banger.VM{{ID: banger.NewVMID(), Name: "web", KernelID: k.ID}, {ID: banger.NewVMID(), Name: "other"}}
	elsewhere := filepath.Join(t.TempDir(), "vm-of-another-installation")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Use(k.ID, elsewhere); err != nil {
		t.Fatal(err)
	}
	err := f.DeleteKernel(t.Context(), "6.12")
	if banger.CodeOf(err) != banger.CodeInUse || !strings.Contains(err.Error(), "web") || !strings.Contains(err.Error(), elsewhere) || strings.Contains(err.Error(), "other,") {
		t.Errorf("of a kernel in use: %v", err)
	}
	if list, err := f.ListKernels(t.Context()); err != nil || len(list) != 1 || !slices.Equal(list[0].VMs, []string{"web", elsewhere}) {
		t.Errorf("its users: %+v, %v", list, err)
	}
	f.vms.list = nil
	if err := os.Remove(elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteKernel(t.Context(), string(k.ID)[:6]); err != nil {
		t.Errorf("of one that nobody needs: %v", err)
	}
	if left := f.left(t); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
	if err := f.Use(k.ID, t.TempDir()); banger.CodeOf(err) != banger.CodeCorrupt {
		t.Errorf("a kernel that is gone is used: %v", err)
	}
	_, err = f.GetKernel(t.Context(), "6.12")
	if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != banger.CodeNotFound || e.Hint != "get it with: banger kernel pull 6.12" {
		t.Errorf("a kernel that is not here: %v", err)
	}
}

func TestPruneKernels_KeepsWhatTheNextVMIsGiven(t *testing.T) {
	f := newFixture(t)
	old := f.pull(t)
	addKernel(t, f.archive, "6.12.10")
	next := f.pull(t)
	if next.ID == old.ID {
		t.Fatal("there is no newer one")
	}
	if k, err := f.GetKernel(t.Context(), "6.12"); err != nil || k.ID != next.ID {
		t.Errorf("6.12 is %+v, %v", k, err)
	}
	if k, err := f.GetKernel(t.Context(), "6.12.9"); err != nil || k.ID != old.ID {
		t.Errorf("6.12.9 is %+v, %v", k, err)
	}
	would, err := f.PruneKernels(t.Context(), banger.KernelPruneRequest{DryRun: true})
	if err != nil || len(would.Kernels) != 1 || len(f.left(t)) != 2 {
		t.Errorf("would prune %+v, %v", would, err)
	}
	before, usage := f.usage(t)
	if got, err := f.PruneKernels(t.Context(), banger.KernelPruneRequest{}); err != nil || len(got.Kernels) != 1 || got.Kernels[0].ID != old.ID {
		t.Errorf("pruned %+v, %v", got, err)
	}
	after, _ := f.usage(t)
	if announced := usage.Reclaimable[0]; announced.Command != "banger kernel prune" || announced.Bytes != before-after || would.ReclaimedBytes != before-after || after >= before {
		t.Errorf("freed %d, announced %+v, a dry run said %d", before-after, announced, would.ReclaimedBytes)
	}
	if got, err := f.PruneKernels(t.Context(), banger.KernelPruneRequest{All: true}); err != nil || len(got.Kernels) != 1 || got.Kernels[0].ID != next.ID || len(f.left(t)) != 0 {
		t.Errorf("pruned all: %+v, %v", got, err)
	}
}

// usage is what the directory of kernels takes, and what df says of it.
func (f *fixture) usage(t *testing.T) (taken int64, said banger.DiskUsage) {
	t.Helper()
	tree, err := diskusage.Of(kernel.Dir(f.Paths))
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	own, err := diskusage.Of(empty)
	if err != nil {
		t.Fatal(err)
	}
	items, err := f.DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said = diskusage.Report(items)
	if taken = tree.Bytes(); said.UsedBytes != taken-own.Bytes() {
		t.Errorf("kernels use %d bytes, and their directory with itself takes %d", said.UsedBytes, taken)
	}
	return taken, said
}

// The VMs of an older banger have booted the kernel of an image; it stays theirs.
func TestAdopt_KernelOfAnImageBecomesOne(t *testing.T) {
	f := newFixture(t)
	image := t.TempDir()
	for name, data := range map[string]string{"vmlinuz": "kernel", "vmlinux": "unpacked", "modules/6.1.0/modules.dep": "a.ko:\n", "modules/6.1.0/kernel/a.ko": "a", "root.ext4": "root"} {
		path := filepath.Join(image, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 2 {
		if n == 1 { // its files are the image's, too: to delete it frees the manifest and directories
			if _, said := f.usage(t); said.Reclaimable[0].Bytes >= said.UsedBytes || len(said.Reclaimable) != 2 {
				t.Errorf("of a kernel that shares its files: %+v", said)
			}
		}
		id, err := f.Adopt(t.Context(), image, "6.1.0")
		if err != nil {
			t.Fatal(err)
		}
		files, err := f.Files(id)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(files.Kernel); err != nil || string(got) != "unpacked" {
			t.Errorf("it boots %q, %v", got, err)
		}
	}
	if err := os.RemoveAll(image); err != nil {
		t.Fatal(err)
	}
	k, err := f.GetKernel(t.Context(), "6.1")
	if err == nil {
		err = f.Verify(k.ID)
	}
	if err != nil || k.Package != "" || len(f.left(t)) != 1 {
		t.Errorf("without its image: %+v, %v; there are %q", k, err, f.left(t))
	}
}
