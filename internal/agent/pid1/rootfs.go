package pid1

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	disksMount  = "/disks" // each of the disks under the overlay, by its name
	systemMount = disksMount + "/system"
	workMount   = disksMount + "/work"
	programsDir = "/programs" // stays
)

// disksDir is where the disks under the overlay are to be found in the running
// system, so that it can write them out when it shuts down.
const disksDir = guestconfig.RunDir + "/disks"

// overlayDir is the directory of the system disk that holds the overlay. The number
// is that of its layout: upper and work, as overlayfs knows them.
const overlayDir = "overlay-1"

// disks are the nodes of a VM's disks; those of the image are the lowest first.
type disks struct {
	images       []string
	system, work string
}

// findDisks waits for the disks.
func findDisks(ctx context.Context, w *device.Watcher, c guestconfig.Config) (d disks, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deviceLimit, errNoDevice)
	defer cancel()
	wanted := append([]string{c.SystemDisk, c.WorkDisk}, c.ImageDisks...)
	var nodes map[string]string
	var missing string
	_, err = w.Wait(ctx, func() (string, bool) {
		nodes = device.Disks(os.DirFS("/sys"))
		i := slices.IndexFunc(wanted, func(serial string) bool { return nodes[serial] == "" })
		if i >= 0 {
			missing = wanted[i]
		}
		return "", i < 0
	})
	if err != nil {
		return d, fmt.Errorf("cannot find disk %q: %w", missing, err)
	}
	d.system, d.work = nodes[c.SystemDisk], nodes[c.WorkDisk]
	for _, serial := range c.ImageDisks {
		d.images = append(d.images, nodes[serial])
	}
	return d, nil
}

// imageMount is where the nth disk of the image is mounted, in the directory of all disks. Its
// name is short, since all of them go into one page of mount options: see overlayOptions.
func imageMount(disks string, n int) string {
	if n == 0 {
		return disks + "/image"
	}
	return disks + "/image-" + strconv.Itoa(n)
}

// overlayOptions are those of mount(2) for n image disks under the system disk. Of 128 they
// have 2 KiB, of 4 that a page holds, so the kernel need not know lowerdir+ (6.5).
func overlayOptions(n int, upper, work string) string {
	var lower []string
	for i := n - 1; i >= 0; i-- { // overlayfs wants the uppermost first
		lower = append(lower, imageMount(disksMount, i))
	}
	return "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work
}

// mountRoot puts the root file system together at newRoot: the image with the
// system disk over it, the work disk with the homes of root and user, and a /run in memory.
func mountRoot(d disks, user string) error {
	for n, node := range d.images {
		image := mount{node, imageMount(disksMount, n), "ext4", unix.MS_RDONLY | unix.MS_NOATIME, "noload"}
		if err := image.do(); err != nil {
			return fmt.Errorf("cannot use the image: %w", err)
		}
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
	overlay := mount{"overlay", newRoot, "overlay", unix.MS_NOATIME, overlayOptions(len(d.images), upper, work)}
	if err := overlay.do(); err != nil {
		return err
	}
	if err := makeDirectories(newRoot); err != nil {
		return err
	}
	if err := mountWorkDisk(d.work); err != nil {
		return err
	}
	if err := mountUserHome(newRoot, user); err != nil {
		return err
	}
	run := mount{"tmpfs", newRoot + "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"}
	return run.do()
}

// switchRoot makes newRoot the root of this process, with the kernel's file
// systems and the disks under it, and gives back the memory of the initramfs.
func switchRoot(images int) error {
	// For the owner only: what is below is reached through the overlay.
	if err := os.MkdirAll(newRoot+disksDir, 0o700); err != nil {
		return fmt.Errorf("cannot switch root: %w", err)
	}
	moves := map[string]string{systemMount: newRoot + disksDir + "/system"}
	for n := range images {
		moves[imageMount(disksMount, n)] = imageMount(newRoot+disksDir, n)
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
