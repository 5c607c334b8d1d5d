package fault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// What is promised of VMs whether they run or not is seen on two, "running" and "stopped".
func TestFault_OneVMRunsAndOneIsStopped(t *testing.T) {
	i := installation.New(t, bin)
	vms := map[string]banger.VM{}
	for _, name := range []string{"stopped", "running"} {
		vms[name] = i.StartVM(t, name)
		i.MustRun(t, "session", "start", name, "--name", "s", "--tag", "k=v", "--stdin", "pipe", "--", "sh", "-c", "echo out; read line; echo $line")
		i.MustRun(t, "session", "wait", name, "s", "--match", "out")
		startNeedle(t, i, name)
		if name == "stopped" {
			i.MustRun(t, "session", "send", name, "s", "--data", "in\n")
			i.MustRun(t, "session", "wait", name, "s")
			i.MustRun(t, "session", "send", name, "needle", "--eof")
			i.MustRun(t, "session", "wait", name, "needle")
			i.MustRun(t, "vm", "stop", name)
		}
	}
	t.Run("a lost store loses no VM and no session", func(t *testing.T) { loseStore(t, i, vms) })
	t.Run("a search finds lines in both, and where they are", func(t *testing.T) { findNeedles(t, i) })
	t.Run("a disk that cannot be read hides nothing of the other VM", func(t *testing.T) { loseDisk(t, i) }) // and stays so
}

// A store that is lost under a running VM, a stopped one and one that is half made loses
// nothing of the first two, and what was half made can be looked at.
func loseStore(t *testing.T, i *installation.Installation, before map[string]banger.VM) {
	half := filepath.Join(i.Paths().VMs(), string(banger.NewVMID()))
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "system.img"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.KillDaemon(t)
	files, err := filepath.Glob(i.Paths().Database() + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no store to lose: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}

	for name, was := range before {
		is := installation.JSON[banger.VM](t, i, "vm", "show", name)
		if is.ID != was.ID || is.ImageID != was.ImageID || is.MemoryMiB != was.MemoryMiB || !is.CreatedAt.Equal(was.CreatedAt) {
			t.Errorf("VM %s is %+v, it was %+v", name, is, was)
		}
	}
	// The sessions of a guest that runs are known when its link is up.
	wait.For(t, "the session of the running VM is known again", func() bool {
		return i.Run(t, "session", "show", "running", "s").Code == 0
	})
	i.MustRun(t, "session", "send", "running", "s", "--data", "in\n")
	for name := range before {
		i.MustRun(t, "session", "wait", name, "s")
		x := installation.JSON[banger.Session](t, i, "session", "show", name, "s")
		if x.Status != banger.StatusExited || x.Tags["k"] != "v" || x.Command != "sh" {
			t.Errorf("session of VM %s: %+v", name, x)
		}
		if got := i.MustRun(t, "session", "logs", name, "s", "-n", "all"); got != "out\nin\n" {
			t.Errorf("output of the session of VM %s: %q", name, got)
		}
	}
	if out := i.MustRun(t, "vm", "gc"); !strings.Contains(out, filepath.Base(half)) {
		t.Errorf("what was half made is not in the trash: %s", out)
	}
}
