package pid1

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/agent/device"
	"banger/internal/guestconfig"
)

// deviceLimit is how long a disk or a network interface may take to appear.
const deviceLimit = 10 * time.Second

var errNoDevice = fmt.Errorf("it did not appear within %v", deviceLimit)

// Where the root file system is put together, in the initramfs.
const (
	newRoot     = "/newroot"
	imageMount  = "/disks/image"
	systemMount = "/disks/system"
	programsDir = "/programs" // stays
)

// disksDir is where the disks under the overlay are to be found in the running
// system, so that it can write them out when it shuts down.
const disksDir = guestconfig.RunDir + "/disks"

// overlayDir is the directory of the system disk that holds the overlay. The number
// is that of its layout: upper and work, as overlayfs knows them.
const overlayDir = "overlay-1"

// disks are the nodes of a VM's disks.
type disks struct{ image, system, work string }

// findDisks waits for the disks.
func findDisks(ctx context.Context, w *device.Watcher, c guestconfig.Config) (d disks, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deviceLimit, errNoDevice)
	defer cancel()
	for _, want := range []struct {
		serial string
		node   *string
	}{{c.ImageDisk, &d.image}, {c.SystemDisk, &d.system}, {c.WorkDisk, &d.work}} {
		*want.node, err = w.Wait(ctx, device.Disk(os.DirFS("/sys"), want.serial))
		if err != nil {
			return d, fmt.Errorf("cannot find disk %q: %w", want.serial, err)
		}
	}
	return d, nil
}

// mountRoot puts the root file system together at newRoot: the image with the
// system disk over it, the work disk, and a /run in memory.
func mountRoot(d disks) error {
	image := mount{d.image, imageMount, "ext4", unix.MS_RDONLY | unix.MS_NOATIME, "noload"}
	if err := image.do(); err != nil {
		return fmt.Errorf("cannot use the image: %w", err)
	}
	system := mount{d.system, systemMount, "ext4", unix.MS_NOATIME, ""}
	if err := system.do(); err != nil {
		return fmt.Errorf("cannot use the system disk: %w", err)
	}
	upper, work := filepath.Join(systemMount, overlayDir, "upper"), filepath.Join(systemMount, overlayDir, "work")
	for _, dir := range []string{upper, work} {
		// The mode of upper is that of the root directory, which all may enter.
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cannot prepare the system disk: %w", err)
		}
	}
	overlay := mount{"overlay", newRoot, "overlay", unix.MS_NOATIME, "lowerdir=" + imageMount + ",upperdir=" + upper + ",workdir=" + work}
	if err := overlay.do(); err != nil {
		return err
	}
	workDisk := mount{d.work, newRoot + guestconfig.WorkDir, "ext4", 0, ""}
	if err := workDisk.do(); err != nil {
		return fmt.Errorf("cannot use the work disk: %w", err)
	}
	if err := os.Chmod(newRoot+guestconfig.WorkDir, 0o700); err != nil {
		return fmt.Errorf("cannot protect %s: %w", guestconfig.WorkDir, err)
	}
	run := mount{"tmpfs", newRoot + "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"}
	return run.do()
}

// switchRoot makes newRoot the root of this process, with the kernel's file
// systems and the disks under it, and gives back the memory of the initramfs.
func switchRoot() error {
	// For the owner only: what is below is reached through the overlay.
	if err := os.MkdirAll(newRoot+disksDir, 0o700); err != nil {
		return fmt.Errorf("cannot switch root: %w", err)
	}
	moves := map[string]string{
		imageMount:  newRoot + disksDir + "/image",
		systemMount: newRoot + disksDir + "/system",
	}
	for _, m := range kernelMounts {
		moves[m.target] = newRoot + m.target
	}
	for from, to := range moves {
		if err := moveMount(from, to); err != nil {
			return err
		}
	}
	if err := emptyInitramfs(); err != nil {
		return err
	}
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("cannot switch root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot switch root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("cannot switch root: %w", err)
	}
	return os.Chdir("/")
}

// emptyInitramfs deletes everything that is no longer needed in the file system
// of "/", which must be the kernel's initial one, and nothing that is mounted on it.
func emptyInitramfs() error {
	var fs unix.Statfs_t
	if err := unix.Statfs("/", &fs); err != nil {
		return fmt.Errorf("cannot look at the initramfs: %w", err)
	}
	if fs.Type != unix.RAMFS_MAGIC && fs.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("cannot free the initramfs: / is of type %#x", fs.Type)
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return fmt.Errorf("cannot free the initramfs: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join("/", entry.Name())
		if path == newRoot || path == programsDir {
			continue // the only mount that is left, and what it shows
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot free the initramfs: %w", err)
		}
	}
	return nil
}
