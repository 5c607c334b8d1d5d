package pid1

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/guestconfig"
)

func writeProgram(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestIdentity_IsNewForEachVMAndKeptByLaterBoots(t *testing.T) {
	root, disk := t.TempDir(), t.TempDir()
	id, dbus, seed := filepath.Join(root, "etc/machine-id"), filepath.Join(root, "var/lib/dbus/machine-id"), filepath.Join(root, "var/lib/systemd/random-seed")
	boot := func(vm string) (machineID string) {
		t.Helper()
		if err := identify(root, disk, vm); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(id)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	// An empty file is not a first boot.
	for vm, image := range map[string]string{"one": "", "two": "0123456789abcdef0123456789abcdef\n"} {
		writeProgram(t, id, image)
		writeProgram(t, dbus, "0123456789abcdef0123456789abcdef\n")
		writeProgram(t, seed, "random")
		if got := boot(vm); got != firstBoot {
			t.Errorf("with %q in the image, the first boot of a VM has %q", image, got)
		}
		for _, path := range []string{dbus, seed} {
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", path, err)
			}
		}
		if got := boot(vm); got != firstBoot {
			t.Errorf("a first boot that was cut off is followed by one with %q", got)
		}
		writeProgram(t, id, "of systemd\n")
		if got := boot(vm); got != "of systemd\n" {
			t.Errorf("a later boot has %q", got)
		}
	}
	if got := boot("a-copy"); got != firstBoot {
		t.Errorf("a VM with a copy of the disk has %q", got)
	}
}

func TestSystemd_IsFoundWhereImagesHaveIt(t *testing.T) {
	for _, name := range guestconfig.SystemdPrograms() {
		root := t.TempDir()
		writeProgram(t, filepath.Join(root, name), "")
		if path, err := findSystemd(root); err != nil || path != "/"+name {
			t.Errorf("%s is found as %q, %v", name, path, err)
		}
		if err := os.Chmod(filepath.Join(root, name), 0o644); err != nil {
			t.Fatal(err)
		}
		if path, err := findSystemd(root); err == nil {
			t.Errorf("%s is found although nobody can execute it", path)
		}
	}
	if _, err := findSystemd(t.TempDir()); err == nil || !strings.Contains(err.Error(), "/usr/lib/systemd/systemd") {
		t.Errorf("an image without it: %v", err)
	}
}

func TestUnits_HaveAllValuesAndLeaveNothingOpen(t *testing.T) {
	run := t.TempDir()
	config := guestconfig.Config{Network: guestconfig.Network{Address: "192.0.2.5/24", Gateway: "192.0.2.1", DNS: []string{"192.0.2.2", "192.0.2.3"}}}
	if err := writeRuntime(run, config); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string {
		data, err := os.ReadFile(filepath.Join(run, "systemd", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "@") {
			t.Errorf("%s has a value that is not filled in:\n%s", name, data)
		}
		return string(data)
	}
	for name, want := range map[string]string{
		"system/banger-agent.service":    "After=banger-sessions.service root.mount run-banger-bin.mount\n",
		"system/banger-sessions.service": "ExecStart=" + guestconfig.AgentPath + " hold-sessions\n",
		"system/banger-end.service":      "TimeoutStopSec=10s\n",
		"network/00-banger.network":      "Address=192.0.2.5/24\nGateway=192.0.2.1\nDNS=192.0.2.2 192.0.2.3\n",
		"network/00-banger.link":         "Name=eth0\n",
		"system.conf.d/00-banger.conf":   "DefaultTimeoutStopSec=10s\n",
	} {
		if got := text(name); !strings.Contains(got, want) {
			t.Errorf("%s has no %q:\n%s", name, want, got)
		}
	}
	for _, target := range askedBy() {
		text("system/" + target + ".wants/banger-agent.service") // the link leads to it
	}
	for _, unit := range maskedUnits() {
		if to, err := os.Readlink(filepath.Join(run, "systemd/system", unit)); err != nil || to != os.DevNull {
			t.Errorf("%s: %q, %v", unit, to, err)
		}
	}
}

// What systemd-escape(1) of Debian 12 says of these.
func TestEscapePath_IsThatOfSystemd(t *testing.T) {
	for path, want := range map[string]string{
		"/root":             "root",
		"/home/node":        "home-node",
		"/srv/a-b/.c d/é.x": `srv-a\x2db-.c\x20d-\xc3\xa9.x`,
		"/.hidden":          `\x2ehidden`,
	} {
		if got := escapePath(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}

func TestFinish_EndsAHaltedMachineToo(t *testing.T) {
	for verb, want := range map[string]action{"poweroff": actionPowerOff, "halt": actionPowerOff, "reboot": actionReboot, "kexec": actionReboot} {
		if got := finishAction(verb); got != want {
			t.Errorf("%s is %s", verb, got)
		}
	}
}

func TestFinish_HasARootToRunIn(t *testing.T) {
	dir := t.TempDir()
	writeProgram(t, filepath.Join(dir, filepath.Base(guestconfig.AgentPath)), "#!/bin/sh\necho $1\n")
	if err := prepareFinish(dir); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "shutdown"), "reboot").Output(); err != nil || string(out) != "reboot\n" {
		t.Errorf("its program prints %q, %v", out, err)
	}
	// systemd 252 does not make them, and ends the machine by itself then.
	for _, name := range []string{"proc", "sys", "dev", "run", "oldroot"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}
