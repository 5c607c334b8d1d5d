package diskusage_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/diskusage"
)

// write makes a file of whole blocks with data at its begin and a hole after that.
func write(t *testing.T, path string, data, size int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, data))
	if err := errors.Join(err, f.Truncate(size), f.Sync(), f.Close()); err != nil { // synced: its blocks are allocated
		t.Fatal(err)
	}
}

// du is what du(1) says of paths, which counts a file with several names once.
func du(t *testing.T, paths ...string) (bytes int64) {
	t.Helper()
	out, err := exec.Command("du", append([]string{"-c", "-s", "--block-size=1"}, paths...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	number, _, _ := strings.Cut(lines[len(lines)-1], "\t")
	if bytes, err = strconv.ParseInt(number, 10, 64); err != nil {
		t.Fatal(err)
	}
	return bytes
}

func of(t *testing.T, paths ...string) diskusage.Tree {
	t.Helper()
	tree, err := diskusage.Of(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestTree_TakesTheBlocksOfItsFilesEachOnce(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, filepath.Join(a, "sparse"), 8<<10, 1<<30)
	write(t, filepath.Join(a, "deep", "whole"), 64<<10, 64<<10)
	write(t, filepath.Join(b, "own"), 16<<10, 16<<10)
	for _, name := range []string{filepath.Join(a, "again"), filepath.Join(b, "linked")} {
		if err := os.Link(filepath.Join(a, "deep", "whole"), name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, filepath.Join(b, "symlink")); err != nil {
		t.Fatal(err)
	}
	for _, paths := range [][]string{{a}, {b}, {a, b}, {filepath.Join(a, "sparse")}, {dir}} {
		if got, want := of(t, paths...).Bytes(), du(t, paths...); got != want {
			t.Errorf("%q take %d, du(1) says %d", paths, got, want)
		}
	}
	if got, want := of(t, a).With(of(t, b)).Bytes(), du(t, a, b); got != want {
		t.Errorf("both together take %d, du(1) says %d", got, want)
	}
	all := du(t, dir)
	freed, both := of(t, a).Freed(), of(t, a).With(of(t, b)).Freed()
	if err := os.RemoveAll(a); err != nil {
		t.Fatal(err)
	}
	if left := du(t, dir); freed != all-left {
		t.Errorf("said to free %d, freed %d", freed, all-left)
	}
	if err := os.RemoveAll(b); err != nil {
		t.Fatal(err)
	}
	if left := du(t, dir); both != all-left {
		t.Errorf("both said to free %d, freed %d", both, all-left)
	}
}

// Whoever deletes files while they are counted makes no error.
func TestTree_WhatVanishesCountsAsNothing(t *testing.T) {
	dir := t.TempDir()
	if got := of(t, filepath.Join(dir, "nowhere")); got.Bytes() != 0 || got.Freed() != 0 {
		t.Errorf("what is not there takes %d", got.Bytes())
	}
	done := make(chan error, 1)
	stop := make(chan struct{})
	go func() { // makes and deletes a tree until it is told to end
		for {
			err := os.MkdirAll(filepath.Join(dir, "x", "y", "z"), 0o700)
			for _, name := range []string{"1", "x/2", "x/y/3", "x/y/z/4"} {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
			}
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, "x")), os.Remove(filepath.Join(dir, "1")))
			select {
			case <-stop:
				done <- err
				return
			default:
				if err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for range 200 {
		of(t, dir)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestReport_CountsAFileOnceAndWhatOneCommandFrees(t *testing.T) {
	dir := t.TempDir()
	image, kernel, layer := filepath.Join(dir, "image"), filepath.Join(dir, "kernel"), filepath.Join(dir, "layer")
	write(t, filepath.Join(image, "vmlinuz"), 32<<10, 32<<10)
	write(t, filepath.Join(kernel, "own"), 4<<10, 4<<10)
	write(t, layer, 12<<10, 1<<20)
	if err := os.Link(filepath.Join(image, "vmlinuz"), filepath.Join(kernel, "vmlinuz")); err != nil {
		t.Fatal(err)
	}
	got := diskusage.Report([]diskusage.Item{
		{Kind: banger.DiskKernels, Name: "6.12", Tree: of(t, kernel), Commands: []string{"k"}, Users: []string{"vm", "vm2"}},
		{Kind: banger.DiskImages, Name: "web", Tree: of(t, image), Commands: []string{"i", "all"}},
		{Kind: banger.DiskLayers, Name: "sha256:l", Tree: of(t, layer), Commands: []string{"all"}, Users: []string{"web", "db"}},
	})
	beside := du(t, image, kernel) - du(t, image) // of the kernel
	kernelLinked := du(t, kernel)
	want := banger.DiskUsage{
		UsedBytes: du(t, image, kernel, layer),
		Kinds: []banger.DiskSummary{
			{Kind: banger.DiskImages, Count: 1, UsedBytes: du(t, image)},
			{Kind: banger.DiskLayers, Count: 1, UsedBytes: du(t, layer), SharedBytes: du(t, layer)},
			{Kind: banger.DiskKernels, Count: 1, UsedBytes: beside, SharedBytes: beside},
			{Kind: banger.DiskVMs}, {Kind: banger.DiskUnfinished}, {Kind: banger.DiskTrash},
		},
		Reclaimable: []banger.Reclaimable{
			{Command: "all", Count: 2, Bytes: du(t, image) - du(t, filepath.Join(image, "vmlinuz")) + du(t, layer)},
			{Command: "i", Count: 1, Bytes: du(t, image) - du(t, filepath.Join(image, "vmlinuz"))},
			{Command: "k", Count: 1, Bytes: beside},
		},
		Objects: []banger.DiskObject{
			{Kind: banger.DiskImages, Name: "web", UsedBytes: du(t, image), Users: []string{}, Commands: []string{"i", "all"}},
			{Kind: banger.DiskLayers, Name: "sha256:l", UsedBytes: du(t, layer), Users: []string{"web", "db"}, Commands: []string{"all"}},
			{Kind: banger.DiskKernels, Name: "6.12", UsedBytes: kernelLinked, Users: []string{"vm", "vm2"}, Commands: []string{"k"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
