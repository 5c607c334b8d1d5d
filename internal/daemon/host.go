package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"reflect"

	"banger"
	"banger/internal/config"
	"banger/internal/diskspace"
	"banger/internal/diskusage"
	"banger/internal/image"
	"banger/internal/image/mmdebstrap"
	"banger/internal/kernel"
	"banger/internal/machine"
	"banger/internal/machine/qemu"
	"banger/internal/paths"
	"banger/internal/store"
	"banger/internal/systemd"
	"banger/internal/version"
)

// Host reports on the host, and ends the daemon on it. Every field is needed.
type Host struct {
	Driver   *qemu.Driver
	Builder  *mmdebstrap.Builder
	Cgroups  *systemd.Host
	Shutdown context.CancelFunc
}

// host implements banger.HostService.
type host struct {
	Host
	store    *store.Store
	vms      *machine.Services
	images   *image.Service
	kernels  *kernel.Service
	paths    paths.Paths
	settings config.Config // that are in use
}

// Info implements banger.HostService.
func (h *host) Info(ctx context.Context) (banger.DaemonInfo, error) {
	info := banger.DaemonInfo{
		Version: version.String(), PID: os.Getpid(), Socket: h.paths.Socket(),
		StateDir: h.paths.State, DataDir: h.paths.Data,
	}
	vms, err := h.store.VMs.ListVMs(ctx)
	if err != nil {
		return info, err
	}
	sessions, err := h.store.Sessions.ListSessions(ctx, "")
	if err != nil {
		return info, err
	}
	info.VMs, info.Sessions = len(vms), len(sessions)
	info.Revision, err = h.store.Events.Revision(ctx)
	return info, err
}

// Shutdown implements banger.HostService.
func (h *host) Shutdown(context.Context) error {
	h.Host.Shutdown()
	return nil
}

// Doctor implements banger.HostService.
func (h *host) Doctor(ctx context.Context, deep bool) ([]banger.Check, error) {
	checks := h.Driver.Checks(ctx, h.anyKernel(ctx))
	if deep {
		images, err := h.checkImages(ctx)
		if err != nil {
			return nil, err
		}
		kernels, err := h.checkKernels(ctx)
		if err != nil {
			return nil, err
		}
		checks = append(append(checks, images...), kernels...)
	}
	return append(checks, h.checkTrash(ctx), h.checkCopies(),
		checkImageBuilder(h.Builder.Check()),
		checkProgram("mkfs.ext4", "e2fsprogs", "makes disks"),
		checkProgram("ssh", "openssh-client", "is what banger vm ssh runs"),
		checkHostOfState(h.paths),
		checkSpace("state", h.paths.State), checkSpace("data", h.paths.Data), h.checkDisks(ctx),
		h.checkSettings(), h.checkLifetime(ctx)), nil
}

// checkSettings reports whether the next daemon could use the settings, and whether this
// one does.
func (h *host) checkSettings() banger.Check {
	c := banger.Check{Name: "settings", Status: banger.CheckOK, Detail: h.paths.Settings() + " is in use"}
	if _, err := os.Stat(h.paths.Settings()); errors.Is(err, fs.ErrNotExist) {
		c.Detail = fmt.Sprintf("there is no %s; of each VM the %d sessions that ended last are kept", h.paths.Settings(), config.DefaultKeep)
	}
	now, err := config.Load(h.paths.Settings())
	switch {
	case err != nil:
		c.Status, c.Detail, c.Hint = banger.CheckFail, err.Error(), "correct it: without that no daemon starts again"
	case !reflect.DeepEqual(now, h.settings):
		c.Status, c.Detail, c.Hint = banger.CheckWarn, h.paths.Settings()+" has changed since the daemon started", "let another one start: banger daemon stop"
	}
	return c
}

// checkImageBuilder reports what the builder of images found missing.
func checkImageBuilder(missing error) banger.Check {
	c := banger.Check{Name: "mmdebstrap", Status: banger.CheckOK, Detail: "images can be built"}
	if missing != nil {
		c.Status, c.Detail = banger.CheckFail, missing.Error()
		if e, ok := errors.AsType[*banger.Error](missing); ok {
			c.Hint = e.Hint
		}
	}
	return c
}

// anyKernel returns the kernel of some image, or some other, "" if there is none: KVM works
// with all or with none of them.
func (h *host) anyKernel(ctx context.Context) string {
	images, err := h.images.ListImages(ctx)
	if err != nil {
		return ""
	}
	for _, i := range images {
		if files, err := h.images.Files(ctx, i.ID); err == nil && files.Kernel != "" {
			return files.Kernel
		}
	}
	kernels, err := h.kernels.ListKernels(ctx)
	if err != nil {
		return ""
	}
	for _, k := range kernels {
		if files, err := h.kernels.Files(k.ID); err == nil {
			return files.Kernel
		}
	}
	return ""
}

// checkProgram looks for a program, also where an ordinary user's PATH does not.
func checkProgram(name, dpkg, what string) banger.Check {
	c := banger.Check{Name: name}
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			c.Status, c.Detail = banger.CheckOK, path+" "+what
			return c
		}
	}
	c.Status, c.Detail = banger.CheckFail, "not found; it "+what
	c.Hint = "apt-get install " + dpkg
	return c
}

// checkDisks reports what the disks of the VMs may still take of the host's: they are
// sparse, and nothing keeps their room.
func (h *host) checkDisks(ctx context.Context) banger.Check {
	c := banger.Check{Name: "VM disks", Status: banger.CheckOK}
	vms, err := h.store.VMs.ListVMs(ctx)
	if err != nil {
		c.Status, c.Detail = banger.CheckFail, err.Error()
		return c
	}
	var promised, taken int64
	for _, vm := range vms {
		promised += int64(vm.SystemDiskMiB+vm.WorkDiskMiB) << 20
		took, err := diskusage.Of(h.paths.VM(vm.ID))
		if err != nil {
			c.Status, c.Detail = banger.CheckFail, err.Error()
			return c
		}
		taken += took.Bytes()
	}
	space, err := diskspace.Of(h.paths.VMs())
	if err != nil {
		c.Status, c.Detail = banger.CheckFail, err.Error()
		return c
	}
	const gib = float64(1 << 30)
	c.Detail = fmt.Sprintf("%d VMs are promised %.1f GiB of disks and take %.1f GiB; %.1f GiB are free", len(vms), float64(promised)/gib, float64(taken)/gib, float64(space.Free)/gib)
	if promised-taken > space.Free {
		c.Status = banger.CheckWarn
		c.Hint = "when the host's disk is full, a VM that writes is paused until there is room; delete VMs, or give new ones smaller disks (--disk, --work-disk)"
	}
	return c
}

// lowSpace is what an image build and a few disks need.
const lowSpace = 4 << 30

// checkSpace looks at the free space of a directory's file system.
func checkSpace(name, dir string) banger.Check {
	c := banger.Check{Name: name + " directory", Status: banger.CheckOK}
	space, err := diskspace.Of(dir)
	if err != nil {
		c.Status, c.Detail = banger.CheckFail, err.Error()
		return c
	}
	c.Detail = fmt.Sprintf("%s has %.1f GiB free", dir, float64(space.Free)/(1<<30))
	if space.Free < lowSpace {
		c.Status, c.Hint = banger.CheckWarn, fmt.Sprintf("an image build and a few disks need %d GiB", lowSpace>>30)
	}
	return c
}
