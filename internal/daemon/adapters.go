package daemon

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/image"
	"banger/internal/image/ext4"
	"banger/internal/image/initrd"
	"banger/internal/kernel"
	"banger/internal/machine"
	"banger/internal/machine/remote"
	"banger/internal/sshhost"
)

// imageFiles gives the VM service the files of images.
type imageFiles struct{ *image.Service }

func (i imageFiles) Files(ctx context.Context, id banger.ImageID) (machine.ImageFiles, error) {
	f, err := i.Service.Files(ctx, id)
	own := machine.KernelFiles{ID: string(id), Kernel: f.Kernel, Modules: f.Modules}
	return machine.ImageFiles{Roots: f.Roots, User: f.User, Kernel: own}, err
}

// kernelFiles gives the VM service the files of kernels.
type kernelFiles struct {
	*kernel.Service
	images *image.Service
}

func (k kernelFiles) Files(_ context.Context, id banger.KernelID) (machine.KernelFiles, error) {
	f, err := k.Service.Files(id)
	return machine.KernelFiles{ID: string(id), Kernel: f.Kernel, Modules: f.Modules}, err
}

func (k kernelFiles) Inherited(ctx context.Context) (banger.Kernel, error) {
	dir, release, err := k.images.NewestKernel(ctx)
	if err != nil {
		return banger.Kernel{}, err
	}
	if dir == "" {
		return k.GetKernel(ctx, banger.DefaultKernelName)
	}
	id, err := k.Adopt(ctx, dir, release)
	if err != nil {
		return banger.Kernel{}, err
	}
	return k.GetKernel(ctx, string(id))
}

// FileSystems gives the image service its root file systems.
type FileSystems struct{}

// FromTar implements image.FileSystems.
func (FileSystems) FromTar(r io.Reader, path string) error { return ext4.FromTar(r, path) }

// disks gives the VM service its disks.
type disks struct{}

func (disks) NewDisk(ctx context.Context, path string, sizeMiB int, label string) error {
	return ext4.NewDisk(ctx, path, sizeMiB, label)
}

func (disks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, path, f)
}

func (disks) ReadImage(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadImage(ctx, path, f)
}

// remotes is the driver of remote hosts.
func remotes(o Options) *remote.Driver {
	return remote.New(remote.Config{
		Dialer: &sshhost.Dialer{},
		Programs: func(goarch string) (remote.Programs, error) {
			dir := o.GuestBinaries
			if goarch != runtime.GOARCH {
				dir = filepath.Join(dir, goarch)
			}
			p := remote.Programs{
				Agent: filepath.Join(dir, guestconfig.AgentName), Shim: filepath.Join(dir, guestconfig.ShimName),
			}
			_, err := os.Stat(p.Agent)
			return p, err
		},
		Log: o.Log,
	})
}

// initrds gives the VM service its initrds.
type initrds struct {
	cache    *initrd.Cache
	binaries string // directory with the guest's programs
}

func newInitrds(dir, binaries string) initrds {
	return initrds{cache: initrd.NewCache(dir), binaries: binaries}
}

func (i initrds) WriteVM(_ context.Context, path string, kernel machine.KernelFiles, config guestconfig.Config) error {
	base := initrd.BaseFiles{
		Agent:      filepath.Join(i.binaries, guestconfig.AgentName),
		Shim:       filepath.Join(i.binaries, guestconfig.ShimName),
		ModulesDir: kernel.Modules,
	}
	return i.cache.WriteVM(path, kernel.ID, base.WithDefaultModules(), config)
}
