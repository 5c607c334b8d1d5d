//go:build !unit

package sshd_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// makeTree makes files that a copy may get wrong.
func makeTree(t *testing.T, dir string) {
	t.Helper()
	stamp := time.Unix(1_600_000_000, 0)
	for name, f := range map[string]struct {
		data string
		mode fs.FileMode
	}{
		"empty": {"", 0o640}, "program": {"#!/bin/sh\n", 0o755}, "sub/secret": {"x", 0o600}, "sub/a b'c": {"quoted\n", 0o644},
		"sub/deep/large": {strings.Repeat("\x00\x01large\n", 100_000), 0o604},
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.data), f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
}

// checkTree compares two trees: names, content, and modes and times of files.
func checkTree(t *testing.T, got, want string) {
	t.Helper()
	err := filepath.WalkDir(want, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		inside, _ := filepath.Rel(want, path)
		other := filepath.Join(got, inside)
		a, aErr := os.ReadFile(path)
		b, bErr := os.ReadFile(other)
		if aErr != nil || bErr != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: %d bytes, %v; want %d, %v", inside, len(b), bErr, len(a), aErr)
			return nil
		}
		before, _ := d.Info()
		after, err := os.Stat(other)
		if err != nil || after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("%s: %v at %v; want %v at %v", inside, after.Mode(), after.ModTime(), before.Mode(), before.ModTime())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Both protocols of scp, with nothing of the image: the guest's own scp would fail.
func TestOpenSSH_SCPCopiesTreesInBothProtocols(t *testing.T) {
	for _, protocol := range []string{"-s", "-O"} {
		t.Run(protocol, func(t *testing.T) {
			s := newTCPServer(t)
			from, back := filepath.Join(t.TempDir(), "tree"), t.TempDir()
			makeTree(t, from)
			for _, args := range [][]string{
				{"-rp", from, "root@127.0.0.1:there"},
				{"-rp", "root@127.0.0.1:there", back},
				{"-rp", "root@127.0.0.1:" + filepath.Join(s.home, "there", "sub"), back},
				{"-p", filepath.Join(from, "program"), "root@127.0.0.1:"},
			} {
				if _, errs, err := s.openSSH(t, nil, "scp", append([]string{protocol}, args...)...); err != nil {
					t.Fatalf("scp %s: %v: %s", args, err, errs)
				}
			}
			checkTree(t, filepath.Join(s.home, "there"), from)
			checkTree(t, filepath.Join(back, "there"), from)
			checkTree(t, filepath.Join(back, "sub"), filepath.Join(from, "sub"))
			if data, err := os.ReadFile(filepath.Join(s.home, "program")); err != nil || string(data) != "#!/bin/sh\n" {
				t.Errorf("a file into the home: %q, %v", data, err)
			}
		})
	}
}

func TestOpenSSH_OldSCPReportsWhatItCannotCopy(t *testing.T) {
	s := newTCPServer(t)
	local := filepath.Join(t.TempDir(), "local")
	if err := os.WriteFile(local, []byte("shorter"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string]string{"one.txt": "1", "two.txt": "2", "longer": "something longer"} {
		if err := os.WriteFile(filepath.Join(s.home, path), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	back := t.TempDir()
	for _, c := range []struct {
		args []string
		says string // empty: it works
	}{
		{[]string{local, "root@127.0.0.1:no/such/directory/x"}, "no such file or directory"},
		{[]string{"root@127.0.0.1:no-such-file", back}, "no such file or directory"},
		{[]string{"root@127.0.0.1:.", back}, "not a regular file"},
		{[]string{"root@127.0.0.1:/dev/zero", back}, "not a regular file"},
		{[]string{local, local, "root@127.0.0.1:one.txt"}, "not a directory"},
		{[]string{"root@127.0.0.1:*.txt", back}, ""},
		{[]string{local, "root@127.0.0.1:longer"}, ""},
	} {
		_, errs, err := s.openSSH(t, nil, "scp", append([]string{"-O"}, c.args...)...)
		if (err == nil) != (c.says == "") || !strings.Contains(errs, c.says) {
			t.Errorf("scp %s: %v: %s", c.args, err, errs)
		}
	}
	for path, want := range map[string]string{
		filepath.Join(back, "one.txt"): "1", filepath.Join(back, "two.txt"): "2", filepath.Join(s.home, "longer"): "shorter",
	} {
		if data, err := os.ReadFile(path); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}
