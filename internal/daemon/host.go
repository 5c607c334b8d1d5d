package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"reflect"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/config"
	"banger/internal/image"
	"banger/internal/image/mmdebstrap"
	"banger/internal/machine/qemu"
	"banger/internal/paths"
	"banger/internal/version"
)

// host implements banger.HostService.
type host struct {
	store    banger.Store
	paths    paths.Paths
	settings config.Config // that are in use
	driver   *qemu.Driver
	images   *image.Service
	builder  *mmdebstrap.Builder
	shutdown context.CancelFunc
}

// Info implements banger.HostService.
func (h *host) Info(ctx context.Context) (banger.DaemonInfo, error) {
	info := banger.DaemonInfo{
		Version: version.String(), PID: os.Getpid(), Socket: h.paths.Socket(),
		StateDir: h.paths.State, DataDir: h.paths.Data,
	}
	vms, err := h.store.ListVMs(ctx)
	if err != nil {
		return info, err
	}
	sessions, err := h.store.ListSessions(ctx, "")
	if err != nil {
		return info, err
	}
	info.VMs, info.Sessions = len(vms), len(sessions)
	info.Revision, err = h.store.Revision(ctx)
	return info, err
}

// Shutdown implements banger.HostService.
func (h *host) Shutdown(context.Context) error {
	h.shutdown()
	return nil
}

// Doctor implements banger.HostService.
func (h *host) Doctor(ctx context.Context) ([]banger.Check, error) {
	checks := h.driver.Checks(ctx, h.anyKernel(ctx))
	return append(checks,
		checkImageBuilder(h.builder.Check()),
		checkProgram("mkfs.ext4", "e2fsprogs", "makes disks"),
		checkProgram("ssh", "openssh-client", "is what banger vm ssh runs"),
		checkSpace("state", h.paths.State), checkSpace("data", h.paths.Data),
		h.checkSettings()), nil
}

// checkSettings tells whether the next daemon could use the settings, and whether this
// one does.
func (h *host) checkSettings() banger.Check {
	c := banger.Check{Name: "settings", Status: banger.CheckOK, Detail: h.paths.Settings() + " is in use"}
	if _, err := os.Stat(h.paths.Settings()); errors.Is(err, fs.ErrNotExist) {
		c.Detail = "there is no " + h.paths.Settings()
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

// checkImageBuilder tells what the builder of images found missing.
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

// anyKernel returns the kernel of some image, "" if there is none: KVM works
// with all or with none of them.
func (h *host) anyKernel(ctx context.Context) string {
	images, err := h.images.ListImages(ctx)
	if err != nil {
		return ""
	}
	for _, i := range images {
		if files, err := h.images.Files(ctx, i.ID); err == nil {
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

// lowSpace is what an image build and a few disks need.
const lowSpace = 4 << 30

// checkSpace looks at the free space of a folder's file system.
func checkSpace(name, dir string) banger.Check {
	c := banger.Check{Name: name + " folder", Status: banger.CheckOK}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		c.Status, c.Detail = banger.CheckFail, "cannot look at "+dir+": "+err.Error()
		return c
	}
	free := fs.Bavail * uint64(fs.Bsize)
	c.Detail = fmt.Sprintf("%s has %.1f GiB free", dir, float64(free)/(1<<30))
	if free < lowSpace {
		c.Status, c.Hint = banger.CheckWarn, fmt.Sprintf("an image build and a few disks need %d GiB", lowSpace>>30)
	}
	return c
}
