package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"banger"
	"banger/internal/ext4fs"
	"banger/test/installation"
	"banger/test/testimage"
	"banger/test/wait"
)

// systemdFiles are what an image may have over a plain Debian: a unit for the first boot, one
// that fails, and a server of its own, which is disabled. It starts little else, since it is
// emulated.
func systemdFiles() []testimage.File {
	unit := func(name, condition, command string) []testimage.File {
		return []testimage.File{
			{Name: "etc/systemd/system/" + name, Content: "[Unit]\n" + condition + "\n[Service]\nType=oneshot\nExecStart=/bin/sh -c '" + command + "'\n[Install]\nWantedBy=default.target\n"},
			{Name: "etc/systemd/system/default.target.wants/" + name, Target: "../" + name},
		}
	}
	files := []testimage.File{
		{Name: "etc/machine-id"}, // empty, which is not the form of a first boot
		{Name: "etc/systemd/system/multi-user.target.wants/.wh.ssh.service"},
		{Name: "etc/systemd/system/.wh.sshd.service"},
		{Name: "etc/systemd/system-preset/00-test.preset", Content: "disable *\n"},
		{Name: "etc/systemd/system/default.target", Content: "[Unit]\nRequires=basic.target\nAfter=basic.target\n"},
		{Name: "etc/systemd/system/systemd-udev-trigger.service", Target: "/dev/null"},
	}
	files = append(files, unit("first.service", "ConditionFirstBoot=yes", "echo first >> /var/lib/first")...)
	return append(files, unit("broken.service", "", "exit 3")...)
}

// importSystemd makes an image of systemd and takes it in.
func importSystemd(t *testing.T, i *installation.Installation) {
	t.Helper()
	base, err := testimage.SystemdTar(t.Context(), banger.DefaultSuite)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "systemd.tar")
	if err := testimage.Save(path, "systemd:1", base, systemdFiles(), v1.Config{Cmd: []string{"/sbin/init"}}); err != nil {
		t.Fatal(err)
	}
	i.MustRun(t, "image", "import", path)
}

// The image of a machine has systemd as its command. What is promised of such a VM is checked in one
// life of it: two boots, a stop, and a shutdown of its own.
func TestSystemd_RunsTheGuestAndLosesNothing(t *testing.T) {
	i, _ := installation.NewWithImages(t, bin)
	refused(t, i, 2, []string{"default", "systemd", "hint:"}, "vm", "create", "--init", "systemd", "none")
	if vms := installation.JSON[[]banger.VM](t, i, "vm", "list"); len(vms) != 0 {
		t.Errorf("an image without systemd has got %+v", vms)
	}
	importSystemd(t, i)
	if name := i.MustRun(t, "up", "--name", "s", "systemd:1"); name != "s\n" {
		t.Errorf("up printed %q", name)
	}
	if vm := installation.JSON[banger.VM](t, i, "vm", "show", "s"); vm.Init != banger.InitSystemd || vm.State != banger.VMRunning {
		t.Errorf("it is %+v", vm)
	}
	in := func(command string) string {
		t.Helper()
		return i.MustRun(t, "exec", "s", "--", "sh", "-c", command)
	}
	// A unit that fails and a server that is disabled make no difference.
	i.Run(t, "exec", "s", "--", "systemctl", "is-system-running", "--wait")
	if out := in("cat /proc/1/comm; systemctl is-system-running; systemctl list-units --plain --no-legend --failed | cut -d' ' -f1; cat /var/lib/first"); out != "systemd\ndegraded\nbroken.service\nfirst\n" {
		t.Errorf("it is in the state %q", out)
	}
	if out := i.MustRun(t, "vm", "ssh", "s", "--", "systemctl is-active banger-agent"); out != "active\n" {
		t.Errorf("over ssh: %q", out)
	}
	id := in("cat /etc/machine-id")
	if len(strings.TrimSpace(id)) != 32 {
		t.Errorf("its id is %q", id)
	}
	survivesTheServer(t, i, in)
	endsWithItsRecord(t, i, in)
	stoppedClean(t, i)

	i.MustRun(t, "vm", "start", "s")
	i.Run(t, "exec", "s", "--", "systemctl", "is-system-running", "--wait")
	if out := in("cat /etc/machine-id /var/lib/first /root/late /var/late"); out != id+"first\nkept\nkept\n" {
		t.Errorf("after its second boot it has %q, at the first its id was %q", out, id)
	}
	i.Run(t, "exec", "s", "--", "systemctl", "poweroff")
	wait.For(t, "the guest shuts itself down", func() bool {
		vm := installation.JSON[banger.VM](t, i, "vm", "show", "s")
		return vm.State == banger.VMStopped && vm.StoppedBy == banger.StoppedByGuest
	})
}

// survivesTheServer kills the guest's server beside a session.
func survivesTheServer(t *testing.T, i *installation.Installation, in func(string) string) {
	t.Helper()
	i.MustRun(t, "session", "start", "s", "--name", "long", "--memory", "64M", "--", "sh", "-c",
		"cat /proc/self/cgroup /proc/self/oom_score_adj; trap 'echo ending; sleep 1; echo ended; exit 7' TERM; echo ready; while :; do sleep 0.1; done")
	x := installation.JSON[banger.Session](t, i, "session", "show", "s", "long")
	wait.For(t, "the session is ready", func() bool { return strings.HasSuffix(i.MustRun(t, "session", "logs", "s", "long"), "ready\n") })
	slice := "/banger.slice/banger-sessions.slice/banger-sessions.service/"
	if out := i.MustRun(t, "session", "logs", "s", "long"); out != "0::"+slice+string(x.ID)+"\n0\nready\n" {
		t.Errorf("a session prints %q", out)
	}
	pid := strings.TrimSpace(in("systemctl show --value -p MainPID banger-agent"))
	if out := in("cat /proc/" + pid + "/oom_score_adj; cat /proc/$PPID/cgroup"); out != "-999\n0::"+slice+"shims\n" {
		t.Errorf("its server and a shim: %q", out)
	}
	i.Run(t, "exec", "s", "--", "kill", "-9", pid)
	if out := in("systemctl show --value -p MainPID -p NRestarts banger-agent"); strings.Contains(out, pid) || !strings.Contains(out, "1") {
		t.Errorf("its server is %q, was %s", out, pid)
	}
	if x := installation.JSON[banger.Session](t, i, "session", "show", "s", "long"); x.Status != banger.StatusRunning {
		t.Errorf("with its server the session ended: %+v", x)
	}
}

// endsWithItsRecord stops the VM, whose session takes its time and whose files have just been written.
func endsWithItsRecord(t *testing.T, i *installation.Installation, in func(string) string) {
	t.Helper()
	in("echo kept > /root/late; echo kept > /var/late")
	i.MustRun(t, "vm", "stop", "--grace", "5m", "s")
	if vm := installation.JSON[banger.VM](t, i, "vm", "show", "s"); vm.StoppedBy != banger.StoppedByGuest {
		t.Errorf("it was stopped by %q", vm.StoppedBy)
	}
	x := installation.JSON[banger.Session](t, i, "session", "show", "s", "long")
	if x.ExitCode == nil || *x.ExitCode != 7 {
		t.Errorf("the session ended so: %+v", x.SessionState)
	}
	if out := i.MustRun(t, "session", "logs", "s", "long"); !strings.HasSuffix(out, "ending\nended\n") {
		t.Errorf("the end of its output is lost: %q", out)
	}
}

// stoppedClean checks that the disks of the VM were unmounted.
func stoppedClean(t *testing.T, i *installation.Installation) {
	t.Helper()
	vm := installation.JSON[banger.VM](t, i, "vm", "show", "s")
	disks, err := filepath.Glob(filepath.Join(i.Paths().VM(vm.ID), "*.img"))
	if err != nil || len(disks) != 2 {
		t.Fatalf("its disks are %v, %v", disks, err)
	}
	for _, path := range disks {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := ext4fs.Open(f); err != nil {
			t.Errorf("%s was not unmounted: %v", strconv.Quote(filepath.Base(path)), err)
		}
	}
}
