package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

func TestImage_OneInUseIsKeptAndItsVMsAreNamed(t *testing.T) {
	i, image := installation.NewWithImages(t, bin)
	i.MustRun(t, "vm", "create", "user-one")
	i.MustRun(t, "vm", "create", "user-two")
	refused(t, i, 125, []string{"default", "user-one", "user-two", "hint:"}, "image", "delete", "default")
	if _, err := os.Stat(i.Paths().Image(image.ID)); err != nil {
		t.Errorf("its files are gone: %v", err)
	}
	i.MustRun(t, "vm", "delete", "user-one")
	i.MustRun(t, "vm", "delete", "user-two")
	i.MustRun(t, "image", "delete", "default")
	if left, err := os.ReadDir(i.Paths().Images()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	refused(t, i, 125, []string{"default", "image build"}, "vm", "create", "late")
}

func TestImage_LostFileIsNamedAndStopsWhatNeedsIt(t *testing.T) {
	i, image := installation.NewWithImages(t, bin)
	i.MustRun(t, "vm", "create", "old")
	if err := os.Remove(filepath.Join(i.Paths().Image(image.ID), "root.ext4")); err != nil {
		t.Fatal(err)
	}
	words := []string{"image default", "root.ext4", "is gone", "hint: build it again with: banger image build"}
	refused(t, i, 125, words, "vm", "create", "new")
	refused(t, i, 125, words, "vm", "start", "old")
	vms := installation.JSON[[]banger.VM](t, i, "vm", "list")
	if len(vms) != 1 || vms[0].State != banger.VMFailed || !strings.Contains(vms[0].LastError, "root.ext4") {
		t.Fatalf("afterwards there are %+v", vms)
	}
	if pids := installation.Processes(t, "cmdline", string(vms[0].ID)); len(pids) != 0 {
		t.Errorf("processes %v were left behind", pids)
	}
}

// fullDisks is a shell script for a mount namespace of its own, which goes with
// its last process, however the test ends. It gives two small disks to the directory
// of images ($1) and that of temporary files ($2), and becomes a daemon ($3).
const fullDisks = `mount -t tmpfs -o size=800m images "$1" && mount -t tmpfs -o size=900m,mode=711 scratch "$2" && exec "$3" daemon run`

func TestImage_FullDiskDuringABuildSaysSoAndLeavesNothing(t *testing.T) {
	i := installation.New(t, bin)
	images, scratch := filepath.Join(i.Dir, "data"), filepath.Join(i.Dir, "tmp")
	for _, dir := range []string{i.Dir, images, scratch} { // a build's other ids must get to its temporary files
		if err := os.MkdirAll(dir, 0o711); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	i.Setenv("XDG_DATA_HOME", images)
	i.Setenv("TMPDIR", scratch)
	inside := daemonWithFullDisks(t, i, images, scratch)

	for _, c := range []struct {
		name, disk string
		stage      string // at which the disk becomes full; "" is before the build
	}{
		{"before", images, ""},
		{"during", scratch, "downloading packages"},
	} {
		t.Run(c.name, func(t *testing.T) {
			filler := filepath.Join(inside, c.disk, "filler")
			var once sync.Once
			become := func(stage string) {
				if stage == c.stage {
					once.Do(func() { fill(t, filler) })
				}
			}
			become("")
			_, err := i.Client().BuildImage(t.Context(), "full", banger.ImageRecipe{}, func(p banger.BuildProgress) { become(p.Stage) })
			e, ok := errors.AsType[*banger.Error](err)
			if !ok || e.Code != banger.CodeMissing || !strings.Contains(e.Message, "disk is full") || !strings.Contains(e.Message, c.disk) || e.Hint == "" {
				t.Errorf("the build ended with: %v", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Errorf("the disk was not filled: %v", err)
			}
			for _, dir := range []string{images, scratch} {
				if left := files(t, filepath.Join(inside, dir)); len(left) != 0 {
					t.Errorf("left behind: %q", left)
				}
			}
			if list := installation.JSON[[]banger.Image](t, i, "image", "list"); len(list) != 0 {
				t.Errorf("there are images: %+v", list)
			}
		})
	}
}

// daemonWithFullDisks starts the daemon and returns the root directory as it sees it.
func daemonWithFullDisks(t *testing.T, i *installation.Installation, images, scratch string) string {
	t.Helper()
	flags := []string{"--mount", "--propagation", "private"}
	if os.Geteuid() != 0 {
		flags = append(flags, "--map-root-user", "--map-auto")
	}
	cmd := exec.Command("unshare", append(flags, "sh", "-c", fullDisks, "sh", images, scratch, filepath.Join(string(i.Bin), "banger"))...)
	cmd.Env = i.Env
	said := &strings.Builder{}
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the daemon ended with %v and said: %s", err, said)
		}
	})
	wait.For(t, "the daemon serves", func() bool { return i.Run(t, "daemon", "status").Code == 0 })
	return filepath.Join("/proc", strconv.Itoa(i.DaemonPID(t)), "root")
}

// fill takes all free space of the file system that a new file lies in.
func fill(t *testing.T, file string) {
	f, err := os.Create(file)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil {
		t.Error(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(disk.Bavail)*disk.Bsize); err != nil {
		t.Errorf("cannot fill the disk: %v", err)
	}
}

// files returns all that is below dir and no directory of ours.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if name := e.Name(); err == nil && path != dir && name != "banger" && name != "images" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}
