package kmod_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"banger/internal/kmod"
	"banger/internal/kmod/kmodtest"
)

func put(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func module(t *testing.T, said ...string) []byte {
	t.Helper()
	data, err := kmodtest.Module(said...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriteIndexes_SayWhatTheModulesSay(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	if err == nil {
		_, err = w.Write(module(t, "license=GPL", "depends=mbcache,crc16-x", "softdep=pre: crc32c post: other"))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "kernel/fs/ext4.ko.xz", packed.Bytes())
	put(t, dir, "kernel/fs/mbcache.ko", module(t, "depends="))
	put(t, dir, "kernel/lib/crc16-x.ko", module(t, "depends="))
	put(t, dir, "kernel/README", nil)
	if err := kmod.WriteIndexes(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"modules.dep":     "kernel/fs/ext4.ko.xz: kernel/fs/mbcache.ko kernel/lib/crc16-x.ko\nkernel/fs/mbcache.ko:\nkernel/lib/crc16-x.ko:\n",
		"modules.softdep": "softdep ext4 pre: crc32c post: other\n",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
	put(t, dir, "kernel/bad.ko", module(t, "depends=missing"))
	if err := kmod.WriteIndexes(dir); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a module that is not there: %v", err)
	}
	put(t, dir, "kernel/bad.ko", []byte("no ELF"))
	if err := kmod.WriteIndexes(dir); err == nil || !strings.Contains(err.Error(), "bad.ko") {
		t.Errorf("what is not a module: %v", err)
	}
}
