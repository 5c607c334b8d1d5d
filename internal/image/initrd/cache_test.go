package initrd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/guestconfig"
)

func writeVM(t *testing.T, c *Cache, f BaseFiles, host string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "initrd")
	if err := c.WriteVM(path, "image", f, guestconfig.Config{Hostname: host}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("initrd has mode %v, want 0600", info.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func bases(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCache_BuildsABaseOnceForAllVMs(t *testing.T) {
	f, dir := testKernel(t), t.TempDir()
	first := writeVM(t, NewCache(dir), f, "one")
	if err := os.RemoveAll(f.ModulesDir); err != nil { // nothing is left to build from
		t.Fatal(err)
	}
	second := writeVM(t, NewCache(dir), f, "two")
	if !bytes.Contains(first, []byte(`"hostname":"one"`)) || !bytes.Contains(second, []byte(`"hostname":"two"`)) {
		t.Error("an initrd lacks its VM's configuration")
	}
	if len(bases(t, dir)) != 1 {
		t.Errorf("cache holds %v, want one base", bases(t, dir))
	}
}

func TestCache_NoticesANewAgent(t *testing.T) {
	f, c := testKernel(t), NewCache(t.TempDir())
	writeVM(t, c, f, "one")
	write(t, f.Agent, []byte("a newer agent"))
	if data := writeVM(t, c, f, "one"); !bytes.Contains(data, []byte("a newer agent")) {
		t.Error("the initrd has the old agent")
	}
}

func TestCache_KeepsOnlyTheBasesUsedLast(t *testing.T) {
	f, dir := testKernel(t), t.TempDir()
	write(t, filepath.Join(dir, "interrupted.cpio.new"), []byte("half"))
	c := NewCache(dir)
	for i := range keepBases + 3 {
		write(t, f.Agent, fmt.Appendf(nil, "agent number %d", i))
		writeVM(t, c, f, "one")
	}
	if got := bases(t, dir); len(got) != keepBases || strings.Contains(strings.Join(got, " "), "interrupted") {
		t.Errorf("cache holds %v, want %d bases", got, keepBases)
	}
	if data := writeVM(t, c, f, "one"); !bytes.Contains(data, fmt.Appendf(nil, "agent number %d", keepBases+2)) {
		t.Error("the newest base is gone")
	}
}

func TestCache_LeavesNothingWhenItFails(t *testing.T) {
	f, dir := testKernel(t), t.TempDir()
	f.Modules = []string{"no_such"}
	path := filepath.Join(t.TempDir(), "initrd")
	if err := NewCache(dir).WriteVM(path, "image", f, guestconfig.Config{}); err == nil {
		t.Fatal("WriteVM with an unknown module worked")
	}
	if left := append(bases(t, dir), bases(t, filepath.Dir(path))...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
