//go:build !unit

package qemu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/machine/machinetest"
	"banger/internal/machine/qemu"
	"banger/internal/vmm"
)

// What runs in QEMU's place tries what a guest that has taken QEMU over would.
func TestStart_QEMUReachesNothingButItsMachine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := write("id_ed25519", "private key", 0o600)
	spec := machinetest.NewSpec(t)
	spec.Kernel, spec.Initrd = write("kernel", "", 0o600), write("initrd", "", 0o600)
	image, work := newDisk(t, "image", "", true), newDisk(t, "work", "", false)
	spec.Disks = []vmm.MachineDisk{image, work}
	taken := `#!/bin/sh
try() { "$@" >/dev/null 2>&1 && echo "yes: $*" >&2 || echo "no: $*" >&2; }
try cat '` + key + `'
try ls '` + dir + `'
try ls '` + spec.StateDir + `'
try cat '` + spec.Kernel + `'
try cat '` + spec.Initrd + `'
try cat '` + image.Path + `'
try cat '` + work.Path + `'
try dd if=/dev/null 'of=` + image.Path + `' conv=notrunc
try dd if=/dev/null 'of=` + work.Path + `' conv=notrunc
try touch '` + spec.StateDir + `/new'
exit 1
`
	binary := write("qemu", taken, 0o700)
	m, err := qemu.New(qemu.Config{Accel: qemu.AccelTCG, Binary: binary}).Start(t.Context(), spec)
	if err == nil {
		m.Close()
		t.Fatal("a script has become a machine")
	}
	for what, allowed := range map[string]bool{
		"cat " + key: false, "ls " + dir: false, "ls " + spec.StateDir: false,
		"cat " + spec.Kernel: true, "cat " + spec.Initrd: true, "cat " + image.Path: true, "cat " + work.Path: true,
		"dd if=/dev/null of=" + image.Path + " conv=notrunc": false,
		"dd if=/dev/null of=" + work.Path + " conv=notrunc":  true,
		"touch " + spec.StateDir + "/new":                    false,
	} {
		says := "no: " + what
		if allowed {
			says = "yes: " + what
		}
		if !strings.Contains(err.Error(), says+";") && !strings.HasSuffix(err.Error(), says) {
			t.Errorf("not found: %s", says)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}
