// Package kernel holds the rules about kernels: how one comes from a Debian archive, where its
// files lie, who needs it, and when it may go. A kernel is a directory named by the digest of
// what it was made of:
//
//	kernel.json     what is in it
//	vmlinuz         the kernel, as it came
//	vmlinux         the same as machines boot it, unpacked; absent if it boots as it is only
//	modules/RELEASE its modules and their indexes, for the initrd
//
// It appears under its name complete or not at all, and never changes. A VM is bound to one by
// its record.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/debian"
	"banger/internal/debversion"
	"banger/internal/diskusage"
	"banger/internal/inuse"
	"banger/internal/keylock"
	"banger/internal/paths"
	"banger/internal/records"
	"banger/internal/staging"
)

// Archive has packages with kernels; debian.Archives does.
type Archive interface {
	FindKernel(ctx context.Context, mirror, suite, name string) (debian.Package, error)
	// Fetch writes a package to w, which is verified if there is no error.
	Fetch(ctx context.Context, p debian.Package, w io.Writer, advance func(bytes int64)) error
}

// VMs are the records of VMs; internal/store keeps them.
type VMs interface {
	ListVMs(ctx context.Context) ([]banger.VM, error)
}

// Config is what a Service is made of; every field is needed.
type Config struct {
	Archive Archive
	VMs     VMs
	Paths   paths.Paths
	Log     *slog.Logger
}

// Service implements banger.KernelService. Several processes may have one for the same
// directory.
type Service struct {
	Config
	making keylock.Locks[banger.KernelID] // each is held while a kernel is made
	area   *staging.Area
}

// The names of a staging directory for a kernel, and of what is in one.
const (
	pullPrefix  = ".pull-"
	kernelPart  = "kernel" // becomes the kernel
	packagePart = "package.deb"
)

// New returns a service.
func New(c Config) *Service {
	return &Service{Config: c, area: &staging.Area{Path: Dir(c.Paths), Prefix: pullPrefix, Part: kernelPart}}
}

// Dir holds one directory per kernel, named by its id.
func Dir(p paths.Paths) string { return filepath.Join(p.Data, "kernels") }

func (s *Service) dir(id banger.KernelID) string { return filepath.Join(Dir(s.Paths), string(id)) }

// notesPart is the directory with the notes about which VMs boot which kernel.
const notesPart = "kernel-users"

func (s *Service) notes() inuse.Notes { return inuse.Notes(filepath.Join(s.Paths.Data, notesPart)) }

// Files are the parts of a kernel that a VM boots from, all absolute paths.
type Files struct {
	Kernel  string // unpacked if it can be
	Modules string // the directory that holds modules.dep, named by the kernel's release
}

// Files returns the files of a kernel. It fails with CodeCorrupt if one is gone.
func (s *Service) Files(id banger.KernelID) (Files, error) {
	dir := s.dir(id)
	m, err := readManifest(dir, id)
	if err == nil {
		err = m.checkFiles(dir)
	}
	if err != nil {
		return Files{}, s.corrupt(id, m, err)
	}
	f := Files{Kernel: filepath.Join(dir, vmlinuxName), Modules: m.modulesDir(dir)}
	if m.Vmlinux == nil {
		f.Kernel = filepath.Join(dir, vmlinuzName)
	}
	return f, nil
}

func (s *Service) corrupt(id banger.KernelID, m manifest, cause error) error {
	e := banger.Errorf(banger.CodeCorrupt, "cannot use kernel %s: %w", id, cause)
	if m.Content.Package == "" {
		return e.WithHint("put the directory %s back", s.dir(id))
	}
	return e.WithHint("get it again with: banger kernel pull %s", m.pullArguments())
}

// Use notes that the VM whose files lie in dir, which exists, boots a kernel, so that no
// installation deletes that before the directory is gone. It fails with CodeCorrupt if somebody
// just did. To note it again does no harm.
func (s *Service) Use(id banger.KernelID, dir string) error {
	err := s.notes().Add(string(id), s.dir(id), dir)
	if errors.Is(err, inuse.ErrGone) {
		return banger.Errorf(banger.CodeCorrupt, "cannot use kernel %s: %w", id, err).WithHint("get it again with: banger kernel pull")
	}
	if err != nil {
		return fmt.Errorf("cannot use kernel %s: %w", id, err)
	}
	return nil
}

// ListKernels implements banger.KernelService. What cannot be read is left out.
func (s *Service) ListKernels(ctx context.Context) ([]banger.Kernel, error) {
	vms, err := s.VMs.ListVMs(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(Dir(s.Paths))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list kernels: %w", err)
	}
	kernels := []banger.Kernel{}
	for _, e := range entries {
		id := banger.KernelID(e.Name())
		if !banger.ValidID(e.Name()) {
			continue
		}
		m, err := readManifest(s.dir(id), id)
		if err != nil {
			s.Log.Warn("cannot read kernel", "kernel", id, "error", err)
			continue
		}
		k := m.kernel(id)
		if k.VMs, err = s.usersOf(id, vms); err != nil {
			return nil, err
		}
		kernels = append(kernels, k)
	}
	slices.SortFunc(kernels, func(a, b banger.Kernel) int { return a.PulledAt.Compare(b.PulledAt) })
	return kernels, nil
}

// usersOf returns the VMs that boot a kernel: names of ours, directories of others'.
func (s *Service) usersOf(id banger.KernelID, vms []banger.VM) ([]string, error) {
	users := []string{}
	ours := map[string]bool{}
	for _, vm := range vms {
		if vm.KernelID == id {
			users = append(users, vm.Name)
			ours[s.Paths.VM(vm.ID)] = true
		}
	}
	noted, err := s.notes().Users(string(id))
	if err != nil {
		return nil, err
	}
	for _, dir := range noted {
		if !ours[dir] { // or one that is just being created
			users = append(users, dir)
		}
	}
	return users, nil
}

// GetKernel implements banger.KernelService.
func (s *Service) GetKernel(ctx context.Context, ref string) (banger.Kernel, error) {
	kernels, err := s.ListKernels(ctx)
	if err != nil {
		return banger.Kernel{}, err
	}
	k, err := Find(ref, kernels)
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Code == banger.CodeNotFound {
		err = e.WithHint("get it with: banger kernel pull %s", ref)
	}
	return k, err
}

// Find returns the kernel that ref means: the one with that id, release or package, else the
// newest of that version, else the only one whose id begins with it.
func Find(ref string, kernels []banger.Kernel) (banger.Kernel, error) {
	if ref == "" {
		return banger.Kernel{}, banger.Errorf(banger.CodeInvalid, "cannot find kernel: its name is empty")
	}
	var newest banger.Kernel
	for _, k := range kernels {
		if string(k.ID) == ref {
			return k, nil
		}
		if means(ref, k) && (newest.ID == "" || compare(k, newest) >= 0) {
			newest = k
		}
	}
	if newest.ID != "" {
		return newest, nil
	}
	fitting := slices.DeleteFunc(slices.Clone(kernels), func(k banger.Kernel) bool { return !strings.HasPrefix(string(k.ID), ref) })
	switch len(fitting) {
	case 0:
		return banger.Kernel{}, records.NotFound("kernel", ref, kernels)
	case 1:
		return fitting[0], nil
	}
	return banger.Kernel{}, records.Ambiguous("kernel", ref, fitting)
}

// means reports whether a kernel has a release, is of a package, or of a version, whole or in
// part.
func means(ref string, k banger.Kernel) bool {
	if ref == k.Release || ref == k.Package {
		return true
	}
	rest, ok := strings.CutPrefix(k.Release, ref)
	return ok && strings.ContainsAny(rest[:1], ".+-") && ref[len(ref)-1] >= '0' && ref[len(ref)-1] <= '9'
}

func compare(a, b banger.Kernel) int {
	if c := debversion.Compare(a.Release, b.Release); c != 0 {
		return c
	}
	return debversion.Compare(a.Version, b.Version)
}

// DeleteKernel implements banger.KernelService.
func (s *Service) DeleteKernel(ctx context.Context, ref string) error {
	k, err := s.GetKernel(ctx, ref)
	if err != nil {
		return err
	}
	return s.delete(ctx, k)
}

// delete deletes a kernel that nobody needs.
func (s *Service) delete(ctx context.Context, k banger.Kernel) error {
	unlock, err := s.making.Lock(ctx, k.ID)
	if err != nil {
		return err
	}
	defer unlock()
	lock, err := s.notes().Lock(unix.LOCK_EX)
	if err != nil {
		return fmt.Errorf("cannot delete kernel %s: %w", k.Release, err)
	}
	defer lock.Close()
	vms, err := s.VMs.ListVMs(ctx)
	if err != nil {
		return err
	}
	users, err := s.usersOf(k.ID, vms) // again, under the lock
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return banger.Errorf(banger.CodeInUse, "cannot delete kernel %s: it is used by VM %s", k.Release, strings.Join(users, ", ")).
			WithHint("delete them first: banger vm delete NAME")
	}
	return errors.Join(s.discard(k.ID), s.notes().Forget(string(k.ID)))
}

// discard removes the files of a kernel.
func (s *Service) discard(id banger.KernelID) error {
	err := s.area.Discard(string(id), (*staging.Dir).Remove)
	if err != nil {
		return fmt.Errorf("cannot delete kernel %s: %w", id, err)
	}
	return nil
}

// Sweep removes what interrupted pulls have left.
func (s *Service) Sweep() error {
	return s.area.Leftovers(func(d *staging.Dir) {
		s.Log.Info("removing what an interrupted pull of a kernel left", "directory", d.Path)
		if err := d.Remove(); err != nil {
			s.Log.Warn("cannot remove what an interrupted pull of a kernel left", "directory", d.Path, "error", err)
		}
	})
}

// PruneKernels implements banger.KernelService.
func (s *Service) PruneKernels(ctx context.Context, r banger.KernelPruneRequest) (banger.KernelPruneResult, error) {
	result := banger.KernelPruneResult{Kernels: []banger.Kernel{}}
	kernels, err := s.ListKernels(ctx)
	if err != nil {
		return result, err
	}
	kept, _ := Find(banger.DefaultKernelName, kernels)
	var freed diskusage.Tree
	for _, k := range kernels {
		if len(k.VMs) > 0 || k.ID == kept.ID && !r.All {
			continue
		}
		took, err := diskusage.Of(s.dir(k.ID))
		if err == nil && !r.DryRun {
			err = s.delete(ctx, k)
		}
		switch code := banger.CodeOf(err); {
		case err == nil:
			result.Kernels = append(result.Kernels, k)
			freed = freed.With(took)
		case code != banger.CodeInUse: // since it was listed
			return result, err
		}
	}
	result.ReclaimedBytes = freed.Freed()
	return result, nil
}
