package sessiondir_test

import (
	"errors"
	"io/fs"
	"math"
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

func TestWriteState_OnAFullDiskEveryStateIsKept(t *testing.T) {
	for name, mount := range smallDisks {
		t.Run(name, func(t *testing.T) {
			parent := mount(t)
			dir, lock, err := sessiondir.Create(parent, launch())
			must(t, err)
			defer lock.Close()
			fillDisk(t, parent)
			state, err := sessiondir.ReadState(os.DirFS(dir))
			must(t, err)
			for n := range 50 {
				state.Status, state.Sequence = banger.StatusRunning, int64(n+2)
				state.LastError = strings.Repeat("\x00<&>é\"", n*40)
				must(t, sessiondir.WriteState(dir, state))
				got, err := sessiondir.ReadState(os.DirFS(dir))
				if err != nil || got.Sequence != state.Sequence || !strings.HasPrefix(state.LastError, strings.TrimSuffix(got.LastError, " […]")) {
					t.Fatalf("state %d is %+v, %v", n, got, err)
				}
			}
			if _, _, err := sessiondir.Create(parent, launch()); banger.CodeOf(err) != banger.CodeMissing {
				t.Errorf("a full disk takes a session: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(parent, "*")); err != nil || len(left) != 2+len(lostAndFound(parent)) {
				t.Errorf("left: %q, %v", left, err)
			}
			if left, err := filepath.Glob(filepath.Join(parent, ".new-*")); err != nil || len(left) != 0 {
				t.Errorf("left: %q, %v", left, err)
			}
		})
	}
}

// The end of a session is kept even if all that it tells has the greatest length.
func TestWriteState_OnAFullDiskTheLargestStateIsKept(t *testing.T) {
	parent := mountTmpfs(t, "8M")
	dir, lock, err := sessiondir.Create(parent, launch())
	must(t, err)
	defer lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	long := strings.Repeat("<", banger.MaxRequesterBytes) // JSON takes six bytes for each
	state.Status, state.EndedBy, state.ExitSignal, state.LaunchStage = banger.StatusFailed, banger.EndedByVMStopped, "SIGSTKFLT", banger.StagePreflightCommand
	state.LastError, state.LaunchMessage, state.LaunchRawLog = long, long, long
	state.GuestPID, state.PIDStartTime = math.MaxInt32, math.MaxUint64
	state.StdinOffset, state.StdoutBytes, state.StderrBytes = math.MaxInt64, math.MaxInt64, math.MaxInt64
	state.StartedAt, state.EndedAt = epoch.Add(123456789), epoch.Add(987654321)
	state.CgroupPath = "/sys/fs/cgroup/banger/" + string(state.ID)
	state.Usage = banger.Usage{CPUTimeUS: math.MaxInt64, MemoryPeakBytes: math.MaxInt64, OOMKills: math.MaxInt64}
	for range banger.MaxStopSteps {
		state.StopSteps = append(state.StopSteps, banger.StopStep{At: state.EndedAt, Signal: "SIGKILL", Cause: banger.EndedByVMStopped, By: long})
	}
	state.Survivors = &banger.Survivors{Count: 1000}
	for range banger.MaxSurvivors {
		state.Survivors.Processes = append(state.Survivors.Processes, banger.Process{PID: math.MaxInt32, Command: long[:15]})
	}
	fillDisk(t, parent)
	state.Sequence++
	must(t, sessiondir.WriteState(dir, state))
	got, err := sessiondir.ReadState(os.DirFS(dir))
	if err != nil || got.EndedBy != state.EndedBy || len(got.StopSteps) != banger.MaxStopSteps || got.Survivors.Count != 1000 {
		t.Errorf("state is %+v, %v", got, err)
	}
	if state.StopSteps[0].By != long || len(state.Survivors.Processes) != banger.MaxSurvivors {
		t.Error("the caller's state was shortened, too")
	}
}

// lostAndFound is the folder that every ext4 has.
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

// A reader that is overtaken by two writes sees a whole state.
func TestReadState_IsWholeWhileItIsWritten(t *testing.T) {
	dir, lock, err := sessiondir.Create(t.TempDir(), launch())
	must(t, err)
	defer lock.Close()
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := int64(2); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			state.Sequence, state.StdoutBytes = n, n
			state.LastError = strings.Repeat(string(rune('a'+n%26)), 6000)
			if err := sessiondir.WriteState(dir, state); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3000 {
		got, err := sessiondir.ReadState(os.DirFS(dir))
		if err != nil || got.Sequence > 1 && (got.StdoutBytes != got.Sequence || strings.Trim(got.LastError, string(rune('a'+got.Sequence%26))) != "") {
			t.Fatalf("state %d has %d bytes and %.20q: %v", got.Sequence, got.StdoutBytes, got.LastError, err)
		}
	}
	close(stop)
	writer.Wait()
}
