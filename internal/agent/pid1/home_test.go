package pid1

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// imageHome is a home as an image has it.
func imageHome(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	for _, d := range []string{dir, filepath.Join(dir, "conf")} {
		if err := os.Mkdir(d, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "conf/file"), "of the image")
	write(t, filepath.Join(dir, ".profile"), "of the image")
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectFiles compares the regular files in a directory and what they hold.
func expectFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		got[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Errorf("%s has %v, want %v", dir, got, want)
	}
	for name, content := range want {
		if got[name] != content {
			t.Errorf("%s has %v, want %v", dir, got, want)
		}
	}
}

func TestSeedHome_ADiskThatIsNewGetsWhatTheImageHas(t *testing.T) {
	all := map[string]string{"conf/file": "of the image", ".profile": "of the image"}
	for name, before := range map[string]func(t *testing.T, disk string){
		"new": func(t *testing.T, disk string) { mkdir(t, filepath.Join(disk, lostFound)) },
		"a boot was cut off while it copied": func(t *testing.T, disk string) {
			mkdir(t, filepath.Join(disk, seedCopying, "conf"))
			write(t, filepath.Join(disk, seedCopying, "conf/file"), "of th")
		},
		"a boot was cut off while it gave them their places": func(t *testing.T, disk string) {
			mkdir(t, filepath.Join(disk, seedReady, "conf"))
			write(t, filepath.Join(disk, seedReady, "conf/file"), "of the image")
			write(t, filepath.Join(disk, ".profile"), "of the image")
		},
	} {
		t.Run(name, func(t *testing.T) {
			home, disk := imageHome(t), t.TempDir()
			before(t, disk)
			if err := seedHome(home, disk); err != nil {
				t.Fatal(err)
			}
			expectFiles(t, disk, all)
			if err := os.Remove(filepath.Join(disk, ".profile")); err != nil {
				t.Fatal(err)
			}
			if err := seedHome(home, disk); err != nil { // the next boot
				t.Fatal(err)
			}
			expectFiles(t, disk, map[string]string{"conf/file": "of the image"})
		})
	}
}

func TestSeedHome_ADiskThatWasUsedIsLeftAlone(t *testing.T) {
	home, disk := imageHome(t), t.TempDir()
	write(t, filepath.Join(disk, "mine"), "of the user")
	if err := seedHome(home, disk); err != nil {
		t.Fatal(err)
	}
	expectFiles(t, disk, map[string]string{"mine": "of the user"})
}

func TestSeedHome_WhatCannotBeCopiedLeavesTheDiskNew(t *testing.T) {
	disk := t.TempDir()
	if err := seedHome(filepath.Join(t.TempDir(), "gone"), disk); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if fresh, err := isFresh(disk); !fresh || err != nil {
		t.Errorf("it is not new any more: %v", err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCopyTree_KeepsWhatIsKnownOfAFile(t *testing.T) {
	from := imageHome(t)
	file, twin, link := filepath.Join(from, "conf/file"), filepath.Join(from, "twin"), filepath.Join(from, "link")
	then := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, err := range []error{
		os.Chmod(file, os.ModeSetuid|0o751), os.Link(file, twin), os.Symlink("/nowhere/at/all", link),
		unix.Lsetxattr(file, "user.note", []byte("kept"), 0), unix.Mkfifo(filepath.Join(from, "fifo"), 0o640),
		os.Chtimes(file, then, then), os.Chtimes(filepath.Join(from, "conf"), then, then),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "copy")
	if err := copyTree(from, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o750, "conf": fs.ModeDir | 0o750, "conf/file": fs.ModeSetuid | 0o751, "fifo": fs.ModeNamedPipe | 0o640, "link": fs.ModeSymlink | 0o777,
	} {
		if info, err := os.Lstat(filepath.Join(to, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
	first, err1 := os.Stat(filepath.Join(to, "conf/file"))
	second, err2 := os.Stat(filepath.Join(to, "twin"))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(first, second) {
		t.Errorf("the two names of a file are two files: %v", err)
	}
	if dir, err := os.Stat(filepath.Join(to, "conf")); err != nil || !dir.ModTime().Equal(then) || !first.ModTime().Equal(then) {
		t.Errorf("the times are others: %v", err)
	}
	if target, err := os.Readlink(filepath.Join(to, "link")); err != nil || target != "/nowhere/at/all" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	value := make([]byte, 16)
	if n, err := unix.Lgetxattr(filepath.Join(to, "twin"), "user.note", value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("the attribute is %q, %v", value[:max(n, 0)], err)
	}
}

func TestUserOf_IsResolvedAgainstTheImage(t *testing.T) {
	root := t.TempDir()
	mkdir(t, filepath.Join(root, "etc"))
	write(t, filepath.Join(root, "etc/passwd"), "app:x:1000:100::/home/app:/bin/sh\n12:x:7:7::/seven:\n")
	for user, home := range map[string]string{
		"": "", "app": "/home/app", "app:staff": "/home/app", "1000": "/home/app", "1000:0": "/home/app", "12": "/seven", "13": "", "who": "", "root": "/root",
	} {
		if got, err := userOf(root, user); err != nil || got.Home != home {
			t.Errorf("%q: home %q, %v; want %q", user, got.Home, err, home)
		}
	}
	if got, err := userOf(t.TempDir(), "app"); err != nil || got.Home != "" {
		t.Errorf("without a database: %+v, %v", got, err)
	}
}
