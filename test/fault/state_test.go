package fault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"banger"
	"banger/internal/filelock"
	"banger/internal/hosttest"
	"banger/internal/image/ext4"
	"banger/test/installation"
	"banger/test/wait"
)

// addHost makes another user's host the VM "v" of an installation, with the session "s",
// which echoes what it gets.
func addHost(t *testing.T, i *installation.Installation) {
	t.Helper()
	server := hosttest.NewSSHServer(t, hosttest.SSHOptions{})
	home := filepath.Join(i.Dir, "home")
	target := hosttest.NewSSHHome(t, home, server)
	// ssh looks for its configuration in the home that passwd names, whatever HOME is.
	wrapper := "#!/bin/sh\nexec /usr/bin/ssh -F " + filepath.Join(home, ".ssh", "config") + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(home, "ssh"), []byte(wrapper), 0o700); err != nil {
		t.Fatal(err)
	}
	i.Setenv("PATH", home+":"+os.Getenv("PATH"))
	i.MustRun(t, "vm", "add", "v", "--ssh", target)
	i.MustRun(t, "session", "start", "v", "--name", "s", "--stdin", "pipe", "--", "cat")
}

// databaseUsers are the processes that have the installation's database open.
func databaseUsers(t *testing.T, i *installation.Installation) []int {
	t.Helper()
	database, err := os.Stat(i.Paths().Database())
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, pid := range installation.Processes(t, "cmdline", "daemon\x00run") {
		if slices.ContainsFunc(filesOf(pid), func(f os.FileInfo) bool { return os.SameFile(f, database) }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// everyCommandWorks checks that the daemon pid, and no other, serves all commands.
func everyCommandWorks(t *testing.T, i *installation.Installation, pid int) {
	t.Helper()
	if got := i.DaemonPID(t); got != pid {
		t.Errorf("daemon %d answers, want %d", got, pid)
	}
	if vms := installation.JSON[[]banger.VM](t, i, "vm", "list"); len(vms) != 1 {
		t.Errorf("VMs %+v", vms)
	}
	i.MustRun(t, "session", "list")
	i.MustRun(t, "session", "show", "v", "s")
	if r := i.Feed(t, strings.NewReader("hello\n"), "session", "send", "v", "s"); r.Code != 0 {
		t.Error(r)
	}
	if out := i.MustRun(t, "session", "start", "v", "--attach", "--", "echo", "attached"); out != "attached\n" {
		t.Errorf("the attached command printed %q", out)
	}
	if pids := databaseUsers(t, i); len(pids) != 1 || pids[0] != pid {
		t.Errorf("processes %v have the database open, want %d alone", pids, pid)
	}
}

// remove removes something of an installation whose daemon is quick to make it again: that
// is not in the way here.
func remove(t *testing.T, i *installation.Installation, path string) {
	t.Helper()
	gone := filepath.Join(i.Dir, "gone")
	if err := os.Rename(path, gone); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.RemoveAll(gone); err != nil {
		t.Fatal(err)
	}
}

func TestState_OneDaemonWhateverBecomesOfItsSocketAndLocks(t *testing.T) {
	i := installation.New(t, bin)
	addHost(t, i)
	pid := i.DaemonPID(t)
	p := i.Paths()
	for _, path := range []string{
		p.Run(), p.Socket(), p.StartLock(), p.DaemonLock(),
	} {
		remove(t, i, path)
		everyCommandWorks(t, i, pid)
	}
	// The daemon has made its lock again, by which those who come find it.
	wait.For(t, "the lock is made again", func() bool {
		held, _, err := filelock.Held(p.DaemonLock())
		return held && err == nil
	})
}

func TestState_OneDaemonWhateverTheVariablesAre(t *testing.T) {
	i := installation.New(t, bin)
	addHost(t, i)
	pid := i.DaemonPID(t)
	for _, dir := range []string{t.TempDir(), "/nonexistent", ""} {
		i.Setenv("XDG_RUNTIME_DIR", dir)
		everyCommandWorks(t, i, pid)
	}
	// The same directory by another name.
	link := filepath.Join(i.Dir, "link")
	if err := os.Symlink(filepath.Join(i.Dir, "state"), link); err != nil {
		t.Fatal(err)
	}
	i.Setenv("XDG_STATE_HOME", link)
	everyCommandWorks(t, i, pid)
}

func TestState_APathThatNoSocketAddressHoldsIsUsedAllTheSame(t *testing.T) {
	i := installation.New(t, bin)
	i.Setenv("XDG_STATE_HOME", filepath.Join(i.Dir, strings.Repeat("longer than a socket's path may be/", 5)))
	addHost(t, i)
	everyCommandWorks(t, i, i.DaemonPID(t))
}

func TestState_OfAnotherUserIsRefused(t *testing.T) {
	i := installation.New(t, bin)
	i.MustRun(t, "vm", "list")
	i.MustRun(t, "daemon", "stop")
	for _, dir := range []string{i.Paths().State, i.Paths().Run()} {
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if r := i.Run(t, "vm", "list"); r.Code == 0 || !strings.Contains(string(r.Stderr), "belongs to user 12345") {
			t.Errorf("with %s of another user's: %s", dir, r)
		}
		if err := os.Chown(dir, os.Geteuid(), os.Getegid()); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing of root's is made in the home of somebody.
	home := filepath.Join(i.Dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(i.Dir, "state")
	i.Setenv("XDG_STATE_HOME", filepath.Join(home, ".local", "state"))
	if r := i.Run(t, "vm", "list"); r.Code == 0 || !strings.Contains(string(r.Stderr), "belongs to user 12345") {
		t.Errorf("in the home of another user: %s", r)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
		t.Errorf("%v were made in the home of another user (%v)", entries, err)
	}
	i.Setenv("XDG_STATE_HOME", state)
}

// filesOf are the files that a process has open.
func filesOf(pid int) []os.FileInfo {
	links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	var files []os.FileInfo
	for _, link := range links {
		if info, err := os.Stat(link); err == nil {
			files = append(files, info)
		}
	}
	return files
}

func TestStop_IsSeenByTheGuestThoughEverySocketIsGone(t *testing.T) {
	i := shared.Running(t, bin, "v")
	vm := show(t, i, "v")
	pid := i.DaemonPID(t)
	control := filepath.Join(i.Paths().VM(vm.ID), "qmp.sock")
	if _, err := os.Lstat(control); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{runtimeDir(i), i.Paths().Run(), control} {
		remove(t, i, path)
	}
	// It is in the guest's memory only, until the guest shuts down.
	i.MustRun(t, "vm", "ssh", "v", "--", "echo saved > /root/file")
	i.MustRun(t, "vm", "stop", "v")
	if vm := show(t, i, "v"); vm.State != banger.VMStopped || vm.StoppedBy != banger.StoppedByGuest {
		t.Errorf("%s, stopped by %q", vm.State, vm.StoppedBy)
	}
	if pids := databaseUsers(t, i); len(pids) != 1 || pids[0] != pid {
		t.Errorf("processes %v have the database open, want %d alone", pids, pid)
	}
	err := ext4.ReadDisk(t.Context(), filepath.Join(i.Paths().VM(vm.ID), "work.img"), func(disk fs.FS) error {
		data, err := fs.ReadFile(disk, "file")
		if string(data) != "saved\n" {
			t.Errorf("the file on the disk has %q", data)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// asHost runs a command of an installation on a host of another identity, as far as that
// can be had on one kernel.
func asHost(t *testing.T, i *installation.Installation, name string, args ...string) installation.Result {
	t.Helper()
	const script = `set -e
[ ! -e /etc/machine-id ] || mount --bind "$dir/machine-id" /etc/machine-id
mount --bind "$dir/boot-id" /proc/sys/kernel/random/boot_id
hostname "$name"
exec "$@"`
	dir := filepath.Join(i.Dir, name)
	id := fmt.Sprintf("%x\n", sha256.Sum256([]byte(name)))[:32] + "\n"
	err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "machine-id"), []byte(id), 0o644),
		os.WriteFile(filepath.Join(dir, "boot-id"), []byte("boot of "+name+"\n"), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"-m", "-u", "sh", "-c", script, "sh", filepath.Join(string(i.Bin), "banger")}, args...)...)
	cmd.Env = append(i.Env, "dir="+dir, "name="+name)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return installation.Result{Args: args, Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Code: cmd.ProcessState.ExitCode()}
}

func TestState_ThatAnotherHostSharesIsThatHostsUntilItIsGivenUp(t *testing.T) {
	i := installation.New(t, bin)
	refused := func(what string) {
		t.Helper()
		r := asHost(t, i, "beta", "vm", "list")
		if r.Code == 0 || !strings.Contains(string(r.Stderr), "in use by host alpha") || !strings.Contains(string(r.Stderr), "XDG_STATE_HOME") {
			t.Errorf("%s: %s", what, r)
		}
	}
	works := func(host string) {
		t.Helper()
		if r := asHost(t, i, host, "vm", "list"); r.Code != 0 {
			t.Error(r)
		}
	}
	works("alpha")
	pids := databaseUsers(t, i)
	if len(pids) != 1 {
		t.Fatalf("daemons %v", pids)
	}
	installation.Kill(t, pids[0])
	refused("when its daemon was killed: machines of it may run") // locks tell nothing here
	works("alpha")
	if r := asHost(t, i, "alpha", "daemon", "stop"); r.Code != 0 {
		t.Error(r)
	}
	works("beta") // nothing of alpha's can run
	if r := asHost(t, i, "beta", "daemon", "stop"); r.Code != 0 {
		t.Error(r)
	}
}
