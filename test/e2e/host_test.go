package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"banger"
	"banger/test/installation"
)

func TestHost_MissingQEMUNamesItsPackage(t *testing.T) {
	i := installation.New(t, bin)
	i.Image(t)
	i.MustRun(t, "vm", "create", "v")
	i.MustRun(t, "daemon", "stop")
	path := os.Getenv("PATH")
	i.Setenv("PATH", t.TempDir())
	refused(t, i, 125, []string{"QEMU", "qemu-system-x86_64", "hint: apt-get install qemu-system-x86"}, "vm", "start", "v")
	if vm := installation.JSON[banger.VM](t, i, "vm", "show", "v"); vm.State != banger.VMFailed || !strings.Contains(vm.LastError, "QEMU") {
		t.Errorf("the VM is %s: %s", vm.State, vm.LastError)
	}
	r := i.Run(t, "doctor")
	if r.Code != 125 || !strings.Contains(string(r.Stdout), "apt-get install qemu-system-x86") {
		t.Errorf("doctor: %s", r)
	}
	i.MustRun(t, "daemon", "stop")
	i.Setenv("PATH", path)
	i.MustRun(t, "vm", "start", "v")
}

// nobody is a user without rights, groups and a home: nobody(7) of Debian.
const nobody = 65534

func TestHost_OrdinaryUserNeedsNoRights(t *testing.T) {
	i := installation.New(t, bin)
	if os.Geteuid() == 0 {
		becomeNobody(t, i)
	}
	vm := i.StartVM(t, "v")
	uid := strconv.Itoa(os.Geteuid())
	if i.User != nil {
		uid = strconv.Itoa(nobody)
	}
	machines := installation.Processes(t, "cmdline", "banger-"+string(vm.ID))
	if len(machines) != 1 {
		t.Fatalf("processes %v are the machine", machines)
	}
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(machines[0]), "status"))
	if err != nil || !strings.Contains(string(status), "\nUid:\t"+strings.Repeat(uid+"\t", 3)+uid+"\n") {
		t.Errorf("the machine does not run as %s: %v\n%s", uid, err, status)
	}
	i.MustRun(t, "session", "start", "v", "--name", "s", "--", "sh", "-c", "echo hello; exit 4")
	if r := i.Run(t, "session", "wait", "v", "s"); r.Code != 4 {
		t.Errorf("waiting: %s", r)
	}
	if log := i.MustRun(t, "session", "logs", "v", "s"); log != "hello\n" {
		t.Errorf("got %q", log)
	}
	if out := i.MustRun(t, "vm", "ssh", "v", "--", "id", "-u"); out != "0\n" {
		t.Errorf("in the guest the user is %q", out)
	}
	i.MustRun(t, "vm", "stop", "v")
}

// becomeNobody has everything of an installation done by a user who may do
// nothing, with a copy of the default image.
func becomeNobody(t *testing.T, i *installation.Installation) {
	t.Helper()
	i.Image(t)
	image := installation.JSON[banger.Image](t, i, "image", "show", banger.DefaultImageName)
	from := i.Paths().Image(image.ID)
	i.MustRun(t, "daemon", "stop")
	i.Setenv("XDG_DATA_HOME", filepath.Join(i.Dir, "data"))
	i.Setenv("HOME", i.Dir)
	if err := os.MkdirAll(i.Paths().Images(), 0o700); err != nil {
		t.Fatal(err)
	}
	tool(t, i, "cp", "-r", from, i.Paths().Image(image.ID))
	tool(t, i, "chown", "-R", strconv.Itoa(nobody)+":"+strconv.Itoa(nobody), i.Dir)
	if err := os.Chmod(string(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	i.User = &syscall.Credential{Uid: nobody, Gid: nobody}
}

func TestHost_WrongSettingsAreNamedAndNoDaemonStartsWithThem(t *testing.T) {
	i := installation.New(t, bin)
	i.MustRun(t, "vm", "list")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(i.Paths().Settings(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings := func() banger.Check {
		t.Helper()
		var checks []banger.Check
		if err := json.Unmarshal(i.Run(t, "doctor", "--json").Stdout, &checks); err != nil {
			t.Fatal(err)
		}
		return checks[slices.IndexFunc(checks, func(c banger.Check) bool { return c.Name == "settings" })]
	}
	if c := settings(); c.Status != banger.CheckOK {
		t.Errorf("without settings: %+v", c)
	}
	set("[retention]\nkeep = 3\n")
	if c := settings(); c.Status != banger.CheckWarn || !strings.Contains(c.Hint, "banger daemon stop") {
		t.Errorf("with others than the daemon's: %+v", c)
	}
	set("[retention]\nkep = 3\n")
	wrong := []string{i.Paths().Settings(), "line 2", "retention.kep"}
	if c := settings(); c.Status != banger.CheckFail || !strings.Contains(c.Detail, "line 2: key retention.kep") {
		t.Errorf("with wrong ones: %+v", c)
	}
	i.MustRun(t, "daemon", "stop")
	refused(t, i, 125, wrong, "vm", "list")
	refused(t, i, 125, wrong, "doctor")
	set("[retention]\nkeep = 3\n")
	if c := settings(); c.Status != banger.CheckOK {
		t.Errorf("with right ones: %+v", c)
	}
}
