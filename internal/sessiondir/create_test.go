package sessiondir_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

func launch() guestapi.GuestLaunch {
	return guestapi.GuestLaunch{ID: banger.NewSessionID(), Name: "counter", CreatedAt: epoch,
		Launch: banger.Launch{Command: "sh", Args: []banger.ByteString{"-c", "\xff\n'$(x)"}, StdinMode: banger.StdinClosed}}
}

func TestCreate_OneOfManyWinsAnID(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "not", "yet", "there")
	l := launch()
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			dir, lock, err := sessiondir.Create(parent, l)
			switch {
			case err == nil:
				won.Add(1)
				lock.Close()
				if dir != filepath.Join(parent, string(l.ID)) {
					t.Errorf("folder is %s", dir)
				}
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entries, err := os.ReadDir(parent)
	if won.Load() != 1 || len(entries) != 1 || err != nil {
		t.Errorf("%d callers won; the folder holds %v, %v", won.Load(), entries, err)
	}
}

func TestCreate_FolderIsWholeAndOwned(t *testing.T) {
	parent, l := t.TempDir(), launch()
	dir, lock, err := sessiondir.Create(parent, l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sessiondir.TryLock(dir); !errors.Is(err, sessiondir.ErrLocked) {
		t.Errorf("a second owner: %v", err)
	}
	spec, err := sessiondir.ReadSpec(os.DirFS(dir))
	if err != nil || spec.Name != l.Name || spec.Args[1] != l.Args[1] || !spec.CreatedAt.Equal(l.CreatedAt) {
		t.Errorf("spec is %+v, %v", spec, err)
	}
	state, err := sessiondir.ReadState(os.DirFS(dir))
	boot, bootErr := process.BootID()
	if err != nil || bootErr != nil || state.Status != banger.StatusStarting || state.ID != l.ID || state.BootID != boot || state.Sequence != 1 {
		t.Errorf("state is %+v, %v", state, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	lock.Close()
	again, err := sessiondir.TryLock(dir)
	if err != nil {
		t.Fatalf("nobody owns it, but: %v", err)
	}
	again.Close()
}

func TestLock_LivesAsLongAsTheProcessThatInheritedIt(t *testing.T) {
	dir, lock, err := sessiondir.Create(t.TempDir(), launch())
	if err != nil {
		t.Fatal(err)
	}
	heir := exec.Command("sleep", "60")
	heir.ExtraFiles = []*os.File{lock}
	if err := heir.Start(); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if _, err := sessiondir.TryLock(dir); !errors.Is(err, sessiondir.ErrLocked) {
		t.Errorf("the heir lives, but: %v", err)
	}
	_ = heir.Process.Kill()
	_ = heir.Wait()
	lock, err = sessiondir.TryLock(dir)
	if err != nil {
		t.Fatalf("the heir is dead, but: %v", err)
	}
	lock.Close()
}

func TestCreate_RefusesWhatIsNoID(t *testing.T) {
	l := launch()
	l.ID = "../../etc/cron.daily/"
	if _, _, err := sessiondir.Create(t.TempDir(), l); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("err = %v", err)
	}
}

func TestRemove_LeavesNothingAndForgivesRepetition(t *testing.T) {
	parent := t.TempDir()
	dir, lock, err := sessiondir.Create(parent, launch())
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	for range 2 {
		if err := sessiondir.Remove(dir); err != nil {
			t.Error(err)
		}
	}
	if entries, err := os.ReadDir(parent); len(entries) != 0 || err != nil {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestSweep_DeletesOnlyWhatWasInterrupted(t *testing.T) {
	parent := t.TempDir()
	dir, lock, err := sessiondir.Create(parent, launch())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for _, name := range []string{".new-123", ".removed-" + filepath.Base(dir), ".keep"} {
		if err := os.MkdirAll(filepath.Join(parent, name, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := sessiondir.Sweep(parent); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(parent)
	if len(entries) != 2 || err != nil {
		t.Errorf("left: %v, %v", entries, err)
	}
	if err := sessiondir.Sweep(filepath.Join(parent, "missing")); err != nil {
		t.Error(err)
	}
}

func TestReadState_RefusesWhatNobodyWrote(t *testing.T) {
	for name, content := range map[string]string{
		"empty":          "",
		"cut":            `{"id":"abcdefghijklmnopqrst","sta`,
		"wrong id":       `{"id":"../x","status":"running"}`,
		"unknown status": `{"id":"abcdefghijklmnopqrst","status":"dancing"}`,
		"negative":       `{"id":"abcdefghijklmnopqrst","status":"running","stdout_bytes":-1}`,
		"endless":        strings.Repeat(" ", sessiondir.MaxStateBytes) + "{}",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, sessiondir.StateName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sessiondir.ReadState(os.DirFS(dir)); banger.CodeOf(err) != banger.CodeCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := sessiondir.ReadState(os.DirFS(t.TempDir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// fillDisk takes all of a file system; the result gives it back.
func fillDisk(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer f.Close()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() { must(t, os.Remove(path)) }
}

// Small file systems, with the options of mount(8).
var smallDisks = map[string]func(t *testing.T) string{
	"tmpfs": func(t *testing.T) string { return mountTmpfs(t, "8M") },
	"ext4":  func(t *testing.T) string { return mountExt4(t, 8) },
}

// mountExt4 returns an ext4 file system of its own, made as work disks are.
func mountExt4(t *testing.T, mib int64) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, mib<<20))
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s (this test needs root and e2fsprogs)", args, err, out)
		}
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// lostAndFound is the directory that every ext4 has.
func lostAndFound(parent string) (names []string) {
	names, _ = filepath.Glob(filepath.Join(parent, "lost+found"))
	return names
}

func TestWriteState_FolderWithoutASpareWorks(t *testing.T) {
	dir, lock, err := sessiondir.Create(t.TempDir(), launch())
	must(t, err)
	defer lock.Close()
	must(t, os.Remove(filepath.Join(dir, ".state.json.spare")))
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	state.Sequence = 7
	must(t, sessiondir.WriteState(dir, state))
	if got, err := sessiondir.ReadState(os.DirFS(dir)); err != nil || got.Sequence != 7 {
		t.Errorf("state is %+v, %v", got, err)
	}
}
