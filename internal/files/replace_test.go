package files_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"banger/internal/files"
)

func TestWrite_ReadersSeeTheOldOrTheNewContentWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	contents := [][]byte{bytes.Repeat([]byte("a"), 100_000), bytes.Repeat([]byte("b"), 10)}
	if err := files.Write(path, contents[0], 0o600); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
				t.Errorf("read %d bytes: %v", len(got), err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var writers sync.WaitGroup
	for i := range 2 {
		writers.Go(func() {
			for range 50 {
				if err := files.Write(path, contents[i], 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestWrite_SetsModeAndLeavesNothingBehindOnFailure(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := files.Write(path, []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	folder := filepath.Join(dir, "directory")
	if err := os.MkdirAll(filepath.Join(folder, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := files.Write(folder, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if err := files.Write(filepath.Join(dir, "missing", "file"), []byte("x"), 0o600); err == nil {
		t.Error("a file was written into a directory that does not exist")
	}
	if entries, err := os.ReadDir(dir); len(entries) != 2 || err != nil {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}
