package files_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"banger/internal/files"
)

func TestWriteInto_TakesTurnsWithItsSpare(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := files.WriteInto(path, []byte("x"), 100); !errors.Is(err, files.ErrNoSpare) {
		t.Errorf("without a spare: %v", err)
	}
	if err := files.CreateWithSpare(path, []byte("first"), 100, 0o640); err != nil {
		t.Fatal(err)
	}
	for n, content := range []string{"second", "third is longer", "4", "fifth"} {
		write := files.WriteInto
		if n%2 == 1 {
			write = files.PutInto
		}
		if err := write(path, []byte(content), 100); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || len(got) != 100 || string(bytes.TrimRight(got, "\n")) != content {
			t.Errorf("the file has %q, %v", got, err)
		}
	}
	// A large file comes and goes; its place is then the spare's.
	if err := files.Write(path, bytes.Repeat([]byte("x"), 500), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := files.WriteInto(path, []byte("small"), 100); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || len(got) != 100 {
			t.Errorf("the file has %d bytes, %v", len(got), err)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 2 || err != nil {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestWriteInto_FollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "state"), filepath.Join(dir, "victim")
	for _, p := range []string{path, victim} {
		if err := os.WriteFile(p, []byte("as it was"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(victim, files.SparePath(path)); err != nil {
		t.Fatal(err)
	}
	if err := files.WriteInto(path, []byte("new"), 10); err == nil {
		t.Error("a link was followed")
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "as it was" {
		t.Errorf("the victim has %q, %v", got, err)
	}
}
