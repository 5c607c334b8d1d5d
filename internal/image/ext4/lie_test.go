//go:build !unit

package ext4

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// crashed makes a disk whose journal has one block to be replayed.
func crashed(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "disk")
	if err := NewDisk(t.Context(), path, minDiskMiB, "test"); err != nil {
		t.Fatal(err)
	}
	content, commands := filepath.Join(dir, "content"), filepath.Join(dir, "commands")
	if err := os.WriteFile(content, bytes.Repeat([]byte("journal!"), 128), 0o600); err != nil {
		t.Fatal(err)
	}
	// Without checksums, so that a test can change it.
	if err := os.WriteFile(commands, []byte("feature ^metadata_csum\njo\njw -b 9000 "+content+"\njc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := findProgram("debugfs")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "-w", "-f", commands, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// change changes an image.
func change(t *testing.T, path string, f func(image []byte)) {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f(image)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
}

// unknownJournal makes the journal of a disk one that only e2fsck may know: it has a feature.
func unknownJournal(t *testing.T, path string) {
	t.Helper()
	change(t, path, func(image []byte) {
		super := bytes.Index(image, []byte("\xc0\x3b\x39\x98\x00\x00\x00\x04"))
		if super < 0 {
			t.Fatal("the journal is nowhere")
		}
		const incompat, asyncCommit = 40, 4
		image[super+incompat+3] |= asyncCommit
	})
}

// copies counts where the block is that the journal has.
func copies(t *testing.T, path string) (n int) {
	t.Helper()
	change(t, path, func(image []byte) { n = bytes.Count(image, bytes.Repeat([]byte("journal!"), 128)) })
	return n
}

func TestReadDisk_ReadsTheJournalAndLeavesItToTheGuest(t *testing.T) {
	path := crashed(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir()) // nobody else is needed
	if err := ReadDisk(t.Context(), path, func(disk fs.FS) error { _, err := fs.Stat(disk, "lost+found"); return err }); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the disk is another one: %v", err)
	}
}

func TestReadDisk_E2fsckReplaysAJournalThatIsNotKnown(t *testing.T) {
	path := crashed(t)
	unknownJournal(t, path)
	if n := copies(t, path); n != 1 {
		t.Fatalf("the block is there %d times", n)
	}
	if err := ReadDisk(t.Context(), path, func(disk fs.FS) error { _, err := fs.Stat(disk, "lost+found"); return err }); err != nil {
		t.Error(err)
	}
	if copies(t, path) < 2 {
		t.Error("the block is nowhere but in the journal")
	}
}

// A journal may name any block of a disk of any size: e2fsck would write there and
// make the file as long.
func TestReadDisk_JournalThatLeadsBehindTheEndOfTheDiskIsNotFollowed(t *testing.T) {
	path := crashed(t)
	change(t, path, func(image []byte) {
		descriptor := bytes.Index(image, []byte("\xc0\x3b\x39\x98\x00\x00\x00\x01"))
		tag := image[descriptor+12:] // its first field is the block's number
		if descriptor < 0 || binary.BigEndian.Uint32(tag) != 9000 {
			t.Fatalf("the journal is not as expected: % x", tag[:16])
		}
		binary.BigEndian.PutUint32(tag, 99_999_999)
	})
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ReadDisk(t.Context(), path, func(fs.FS) error { return nil }); err == nil || !strings.Contains(err.Error(), "journal") {
		t.Errorf("it ends with %v", err)
	}
	if after, err := os.Stat(path); err != nil || after.Size() != before.Size() {
		t.Errorf("the disk has %d bytes, and had %d: %v", after.Size(), before.Size(), err)
	}
}

// A journal may be said to lie on another device, which is then one of the host's.
// e2fsck is told that it is /dev/null, where nothing can be read.
func TestReadDisk_JournalIsNotLookedForOnTheHost(t *testing.T) {
	path := crashed(t)
	change(t, path, func(image []byte) {
		const super, journalUUID, journalInode = 1024, 0xD0, 0xE0
		copy(image[super+journalUUID:], "0123456789abcdef")
		binary.LittleEndian.PutUint32(image[super+journalInode:], 0)
	})
	if err := ReadDisk(t.Context(), path, func(fs.FS) error { return nil }); err == nil || !strings.Contains(err.Error(), "short read") {
		t.Errorf("it ends with %v", err)
	}
}

// What runs in e2fsck's place tries what a guest that has taken it over would.
func TestLie_ReplayReachesNothingButTheDisk(t *testing.T) {
	path := crashed(t)
	unknownJournal(t, path)
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("private key"), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncat '" + secret + "' && exit 8\ncat '" + path + "' >/dev/null && echo only the disk\nexit 8\n"
	if err := os.WriteFile(filepath.Join(dir, "e2fsck"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	err := ReadDisk(t.Context(), path, func(fs.FS) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "only the disk") || strings.Contains(err.Error(), "private key") {
		t.Errorf("it says %v", err)
	}
}
