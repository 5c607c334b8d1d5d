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
	"banger/internal/machine"
	"banger/internal/machine/remote"
	"banger/internal/sshhost"
)

// imageFiles gives the VM service the files of images.
type imageFiles struct{ *image.Service }

func (i imageFiles) Files(ctx context.Context, id banger.ImageID) (machine.ImageFiles, error) {
	f, err := i.Service.Files(ctx, id)
	return machine.ImageFiles{ID: id, Roots: f.Roots, Kernel: f.Kernel, Modules: f.Modules, User: f.User}, err
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

func (i initrds) WriteVM(_ context.Context, path string, image machine.ImageFiles, config guestconfig.Config) error {
	base := initrd.BaseFiles{
		Agent:      filepath.Join(i.binaries, guestconfig.AgentName),
		Shim:       filepath.Join(i.binaries, guestconfig.ShimName),
		ModulesDir: image.Modules,
	}
	return i.cache.WriteVM(path, image.ID, base.WithDefaultModules(), config)
}
