package e2e

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // to make a store that is newer than this build

	"banger"
	"banger/test/installation"
)

func TestDaemon_SecondOneIsRefusedAndTheFirstGoesOn(t *testing.T) {
	i := installation.New(t, bin)
	i.MustRun(t, "vm", "list")
	pid := i.DaemonPID(t)
	refused(t, i, 125, []string{"cannot start daemon", strconv.Itoa(pid), "daemon stop"}, "daemon", "run")
	if now := i.DaemonPID(t); now != pid {
		t.Errorf("the first daemon, %d, gave way to %d", pid, now)
	}
}

func TestDaemon_StaleSocketIsReplacedAndNoOtherFile(t *testing.T) {
	i := installation.New(t, bin)
	i.MustRun(t, "vm", "list")
	i.KillDaemon(t)
	if info, err := os.Lstat(i.Paths().Socket()); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Fatalf("a killed daemon leaves no socket: %v", err)
	}
	i.MustRun(t, "vm", "list")
	i.MustRun(t, "daemon", "stop")
	if _, err := os.Lstat(i.Paths().Socket()); !os.IsNotExist(err) {
		t.Errorf("a stopped daemon leaves its socket: %v", err)
	}
	if err := os.WriteFile(i.Paths().Socket(), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, i, 125, []string{i.Paths().Socket(), "not a socket", "hint:"}, "vm", "list")
	if data, err := os.ReadFile(i.Paths().Socket()); err != nil || string(data) != "precious" {
		t.Errorf("the file in the socket's place became %q: %v", data, err)
	}
	if err := os.Remove(i.Paths().Socket()); err != nil {
		t.Fatal(err)
	}
}

func TestDaemon_StoreThatCannotBeUsedIsNamedAndKept(t *testing.T) {
	i := installation.New(t, bin)
	i.MustRun(t, "vm", "list")
	i.MustRun(t, "daemon", "stop")
	file := i.Paths().Database()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(good)
	for n := 4096; n < 8192; n++ {
		damaged[n] = 0xa5
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		words []string
	}{
		{"no database", []byte("this is no database"), []string{"cannot start daemon", file, "hint:"}},
		{"damaged", damaged, []string{"cannot start daemon", file, "hint:"}},
		{"newer", newerStore(t, good), []string{"cannot start daemon", file, "newer banger", "hint: update"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(file, c.bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, i, 125, c.words, "vm", "list")
			if after, err := os.ReadFile(file); err != nil || !slices.Equal(after, c.bytes) {
				t.Errorf("the store was changed: %v", err)
			}
		})
	}
	if err := os.WriteFile(file, good, 0o600); err != nil {
		t.Fatal(err)
	}
	i.MustRun(t, "vm", "list")
}

// newerStore returns a store like the one given, of a banger that does not exist yet.
func newerStore(t *testing.T, store []byte) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(file, store, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", file)
	if err == nil {
		_, err = db.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	newer, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return newer
}

func TestDaemon_OtherVersionIsToldWhatToDoAndThatHelps(t *testing.T) {
	i := sharedVM(t)
	other := *i
	other.Bin = newerBinaries(t)
	before := i.DaemonPID(t)
	refused(t, &other, 125, []string{"v99.0.0", "banger daemon stop", "keep running"}, "vm", "list")
	if now := i.DaemonPID(t); now != before {
		t.Errorf("daemon %d gave way to %d", before, now)
	}
	// What the message says, done by the one who reads it.
	other.MustRun(t, "daemon", "stop")
	vm := installation.JSON[banger.VM](t, &other, "vm", "show", vmName)
	if vm.State != banger.VMRunning {
		t.Errorf("the newer daemon says that the VM is %s", vm.State)
	}
	other.MustRun(t, "session", "start", vmName, "--name", "newer", "--", "true")
	other.MustRun(t, "daemon", "stop")
	if x, code := waitSession(t, i, "newer"); code != 0 {
		t.Errorf("a session of the newer daemon: %+v", x.SessionState)
	}
}

// newerBinaries are those under test with another version of the one for the host.
func newerBinaries(t *testing.T) installation.Binaries {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "banger"),
		"-ldflags", "-X banger/internal/version.version=v99.0.0", "banger/cmd/banger")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"banger-agent", "banger-shim"} {
		if err := os.Symlink(filepath.Join(string(bin), name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return installation.Binaries(dir)
}

func TestDaemon_InstallationsDoNotSeeEachOther(t *testing.T) {
	one, two := sharedVM(t), installation.New(t, bin)
	if vms := installation.JSON[[]banger.VM](t, two, "vm", "list"); len(vms) != 0 {
		t.Errorf("a new installation has %d VMs", len(vms))
	}
	refused(t, two, 125, []string{vmName}, "vm", "show", vmName)
	if a, b := one.DaemonPID(t), two.DaemonPID(t); a == b {
		t.Errorf("both have daemon %d", a)
	}
	two.MustRun(t, "daemon", "stop")
	if r := one.Run(t, "daemon", "status"); r.Code != 0 {
		t.Errorf("stopping one daemon stopped another: %s", r)
	}
}

func TestDaemon_StopKeepsMachinesAndSessions(t *testing.T) {
	i := sharedVM(t)
	before := installation.JSON[banger.VM](t, i, "vm", "show", vmName)
	start(t, i, "goes-on", "--stdin", "pipe", "--", "sh", "-c", "read line; echo got $line; exit 9")
	i.MustRun(t, "daemon", "stop")
	if r := i.Run(t, "daemon", "status"); r.Code != 125 || !strings.Contains(string(r.Stderr), "none is running") {
		t.Errorf("after the stop: %s", r)
	}
	i.MustRun(t, "session", "send", vmName, "goes-on", "--data", "it\n")
	if x, code := waitSession(t, i, "goes-on"); code != 9 || x.EndedBy != banger.EndedByExit {
		t.Errorf("ended with %d: %+v", code, x.SessionState)
	}
	if log := i.MustRun(t, "session", "logs", vmName, "goes-on"); log != "got it\n" {
		t.Errorf("got %q", log)
	}
	after := installation.JSON[banger.VM](t, i, "vm", "show", vmName)
	if after.State != banger.VMRunning || after.BootID != before.BootID || after.SSHAddress != before.SSHAddress {
		t.Errorf("the VM was not adopted: %+v, before %+v", after, before)
	}
}

func TestDaemon_EventsHaveNoHoleOverAKill(t *testing.T) {
	i := sharedVM(t)
	since := installation.JSON[banger.DaemonInfo](t, i, "daemon", "status").Revision
	events := i.Follow(t, "events", "--json", "--since", strconv.FormatInt(since, 10))
	ended := func(name string) {
		last := await(t, events, func(e banger.Event) bool {
			if since++; e.Revision != since {
				t.Fatalf("revision %d follows %d", e.Revision, since-1)
			}
			return e.Session != nil && e.Session.Name == name && e.Session.Status.Ended()
		})
		if last.Session.Status != banger.StatusExited {
			t.Errorf("%s: %+v", name, last.Session.SessionState)
		}
	}
	for _, name := range []string{"event-1", "event-2", "event-3"} {
		start(t, i, name, "--", "true")
		i.KillDaemon(t) // the end may be reported to it, or to the next one
		ended(name)
	}
	again := i.Follow(t, "events", "--json", "--since", "0")
	next := int64(0)
	await(t, again, func(e banger.Event) bool {
		if next++; e.Revision != next {
			t.Fatalf("from the beginning, revision %d follows %d", e.Revision, next-1)
		}
		return next == since
	})
}
