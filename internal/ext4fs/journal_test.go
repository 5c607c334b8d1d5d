//go:build !unit

package ext4fs_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"banger/internal/ext4fs"
)

// mounted is an image that the kernel of this host writes to.
type mounted struct{ image, dir string }

func mount(t *testing.T, mib int64, how journalKind) mounted {
	t.Helper()
	m := mounted{filepath.Join(t.TempDir(), "image"), t.TempDir()}
	err := os.WriteFile(m.image, nil, 0o600)
	if err == nil {
		err = os.Truncate(m.image, mib<<20)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{append([]string{"/usr/sbin/mkfs.ext4", "-q", "-F"}, append(how.made, m.image)...), {"mount", "-o", "loop," + how.mounted, m.image, m.dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s (this test needs root and e2fsprogs)", args, err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(m.dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return m
}

// crash returns what a crash would leave.
func (m mounted) crash(t *testing.T) []byte {
	t.Helper()
	image, err := os.ReadFile(m.image)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// work changes files so that blocks become those of other files: their copies in the
// journal then do not count any more.
func (m mounted) work(t *testing.T, random *rand.Rand) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	for range 60 {
		dir := filepath.Join(m.dir, fmt.Sprint("dir", random.IntN(6)))
		file := filepath.Join(dir, fmt.Sprint("file", random.IntN(20)))
		switch random.IntN(8) {
		case 0:
			check(os.RemoveAll(dir))
		case 1:
			check(os.Remove(file))
		case 2:
			check(os.Rename(file, filepath.Join(m.dir, fmt.Sprint("moved", random.IntN(5)))))
		case 3:
			for n := range 40 { // blocks of directories are in the journal
				check(os.MkdirAll(dir, 0o700))
				check(os.WriteFile(filepath.Join(dir, fmt.Sprint("a name that takes room ", n)), nil, 0o600))
			}
		default:
			check(os.MkdirAll(dir, 0o700))
			f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
			check(err)
			content := bytes.Repeat([]byte{0xC0, 0x3B, 0x39, 0x98, byte(random.Uint32())}, random.IntN(4000)) // begins as blocks of a journal do
			_, err = f.WriteAt(content, random.Int64N(25)*4096)
			check(err)
			if random.IntN(3) == 0 {
				check(f.Sync())
			}
			check(f.Close())
		}
	}
}

// listing is all that is in a file system.
func listing(t *testing.T, fsys fs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = fmt.Sprint(info.Mode(), info.ModTime())
		if info.Mode().IsRegular() {
			content, err := fs.ReadFile(fsys, path)
			all[path] += string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// byE2fsck opens an image after e2fsck has replayed its journal.
func byE2fsck(t *testing.T, image []byte) *ext4fs.FS {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("/usr/sbin/e2fsck", "-p", "-E", "journal_only", path).CombinedOutput(); err != nil && !bytes.Contains(out, []byte("recovering journal")) {
		t.Fatalf("%v: %s", err, out)
	}
	replayed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, replayed)
}

// unreplayed opens an image as if there were nothing in its journal.
func unreplayed(t *testing.T, image []byte) *ext4fs.FS {
	t.Helper()
	image = slices.Clone(image)
	const incompat, needsRecovery = 1024 + 96, 4
	image[incompat] &^= needsRecovery
	return open(t, image)
}

// journalKind is how a file system is made and mounted.
type journalKind struct {
	made    []string
	mounted string
}

// journals are those that are tried.
var journals = map[string]journalKind{
	"as work disks have": {[]string{"-b", "4096", "-J", "size=4"}, "data=ordered"},
	"blocks of 1 KiB":    {[]string{"-b", "1024", "-J", "size=1"}, "data=ordered"},
	"no checksums":       {[]string{"-b", "4096", "-J", "size=4", "-O", "^metadata_csum"}, "data=ordered"},
	"32 bits":            {[]string{"-b", "4096", "-J", "size=4", "-O", "^64bit,^metadata_csum"}, "data=ordered"},
	"with files":         {[]string{"-b", "4096", "-J", "size=4"}, "data=journal"},
}

func TestOpenReplayed_HasWhatE2fsckMakesOfAKernelsJournal(t *testing.T) {
	for name, how := range journals {
		t.Run(name, func(t *testing.T) {
			m := mount(t, 16, how)
			random := rand.New(rand.NewPCG(1, 2))
			differed := 0
			for crash := range 6 {
				m.work(t, random)
				if crash%3 == 0 {
					syscall.Sync()
				}
				image := m.crash(t)
				if _, err := ext4fs.Open(bytes.NewReader(image)); !errors.Is(err, ext4fs.ErrJournal) {
					t.Fatalf("the journal of a disk that is in use: %v", err)
				}
				fsys, err := ext4fs.OpenReplayed(bytes.NewReader(image))
				if err != nil {
					t.Fatal(err)
				}
				got, want := listing(t, fsys), listing(t, byE2fsck(t, image))
				for path := range want {
					if got[path] != want[path] {
						t.Errorf("crash %d: %s is another file", crash, path)
					}
				}
				if len(got) != len(want) {
					t.Errorf("crash %d: there are %d files, not %d", crash, len(got), len(want))
				}
				if before, err := fs.ReadDir(unreplayed(t, image), "."); err != nil || len(before) != countRoot(want) {
					differed++
				}
			}
			if differed == 0 {
				t.Error("nothing was in a journal only: this test shows nothing")
			}
		})
	}
}

// countRoot returns how many are directly in the root.
func countRoot(all map[string]string) (n int) {
	for path := range all {
		if path != "." && filepath.Dir(path) == "." {
			n++
		}
	}
	return n
}

func TestOpenReplayed_OfADiskThatWasUnmountedIsOpen(t *testing.T) {
	image := makeImage(t, makeTree(t), 64)
	fsys, err := ext4fs.OpenReplayed(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(listing(t, fsys)), len(listing(t, open(t, image))); got != want {
		t.Errorf("%d files, not %d", got, want)
	}
}

// journalBlocks returns where in an image blocks of a kind of its journal are; 1: descriptors,
// 2: commits, 4: its beginning, 5: revoked blocks.
func journalBlocks(image []byte, kind uint32) (at []int) {
	want := binary.BigEndian.AppendUint32([]byte{0xC0, 0x3B, 0x39, 0x98}, kind)
	for i := 0; i+4096 <= len(image); i += 4096 {
		if bytes.HasPrefix(image[i:], want) {
			at = append(at, i)
		}
	}
	return at
}

// allTags calls change with each tag of a descriptor without checksums.
func allTags(descriptor []byte, change func(tag []byte)) {
	for rest := descriptor[12:]; len(rest) >= 8; {
		flags := binary.BigEndian.Uint16(rest[6:])
		change(rest)
		rest = rest[8:]
		if flags&2 == 0 {
			rest = rest[16:]
		}
		if flags&8 != 0 {
			return
		}
	}
}

func TestOpenReplayed_WhatIsNoKernelsJournalIsRefused(t *testing.T) {
	m := mount(t, 16, journals["32 bits"])
	m.work(t, rand.New(rand.NewPCG(1, 2)))
	syscall.Sync()
	crash := m.crash(t)
	super := journalBlocks(crash, 4)
	descriptors, commits := journalBlocks(crash, 1), journalBlocks(crash, 2)
	if len(super) == 0 || len(descriptors) == 0 || len(commits) == 0 {
		t.Fatalf("no journal is found: %v, %v, %v", super, descriptors, commits)
	}
	for name, lie := range map[string]func(image []byte){
		"a feature of the time to come": func(image []byte) { image[super[0]+40] = 1 },
		"longer than its file":          func(image []byte) { binary.BigEndian.PutUint32(image[super[0]+16:], 20_000) },
		"too long":                      func(image []byte) { binary.BigEndian.PutUint32(image[super[0]+16:], 1<<31) },
		"begins behind its end":         func(image []byte) { binary.BigEndian.PutUint32(image[super[0]+28:], 5000) },
		"has no beginning":              func(image []byte) { binary.BigEndian.PutUint32(image[super[0]+20:], 0) },
		"other blocks":                  func(image []byte) { binary.BigEndian.PutUint32(image[super[0]+12:], 1024) },
		"another inode":                 func(image []byte) { binary.LittleEndian.PutUint32(image[1024+0xE0:], 2) },
		"no inode":                      func(image []byte) { binary.LittleEndian.PutUint32(image[1024+0xE0:], 0) },
		"leads behind the end of the disk": func(image []byte) {
			for _, at := range descriptors {
				allTags(image[at:][:4096], func(tag []byte) { binary.BigEndian.PutUint32(tag, 99_999_999) })
			}
		},
		"leads into itself": func(image []byte) { // all blocks are descriptors of one transaction
			for at := super[0] + 4096; at < super[0]+(4<<20); at += 4096 {
				copy(image[at:][:4096], image[descriptors[0]:][:4096])
				binary.BigEndian.PutUint32(image[at+8:], binary.BigEndian.Uint32(image[super[0]+24:]))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			image := slices.Clone(crash)
			lie(image)
			if _, err := ext4fs.OpenReplayed(bytes.NewReader(image)); !errors.Is(err, ext4fs.ErrJournal) {
				t.Errorf("it is opened: %v", err)
			}
		})
	}
}

func TestOpenReplayed_DamagedCopyIsToldOfAndNotRead(t *testing.T) {
	m := mount(t, 16, journals["as work disks have"])
	if err := os.WriteFile(filepath.Join(m.dir, "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	syscall.Sync()
	image := m.crash(t)
	if got := listing(t, mustReplay(t, image)); got["file"] == "" {
		t.Fatal("the file is missing")
	}
	name := []byte("\x04\x01file") // the root directory's entry, in the journal
	at := bytes.Index(image, name)
	if at < 0 {
		t.Fatal("the entry is nowhere")
	}
	for ; at >= 0; at = bytes.Index(image, name) {
		image[at+2] = 'F'
	}
	fsys, err := ext4fs.OpenReplayed(bytes.NewReader(image))
	if err == nil {
		_, err = fs.Stat(fsys, "File")
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is damaged in the journal: %v", err)
	}
}

func mustReplay(t *testing.T, image []byte) *ext4fs.FS {
	t.Helper()
	fsys, err := ext4fs.OpenReplayed(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// Whatever a guest has written, nothing hangs, and nothing outside of the image is read.
func TestOpenReplayed_AnyJournalEnds(t *testing.T) {
	for _, name := range []string{"32 bits", "as work disks have"} {
		m := mount(t, 16, journals[name])
		random := rand.New(rand.NewPCG(3, 4))
		m.work(t, random)
		syscall.Sync()
		crash := m.crash(t)
		blocks := slices.Concat(journalBlocks(crash, 1), journalBlocks(crash, 2), journalBlocks(crash, 4), journalBlocks(crash, 5))
		image := slices.Clone(crash)
		for range 200 {
			for range 1 + random.IntN(4) {
				image[blocks[random.IntN(len(blocks))]+random.IntN(64)] = byte(random.Uint32())
			}
			fsys, err := ext4fs.OpenReplayed(bytes.NewReader(image))
			if err == nil {
				_, _ = fs.ReadDir(fsys, ".")
			}
			for _, at := range blocks {
				copy(image[at:][:4096], crash[at:])
			}
		}
	}
}
