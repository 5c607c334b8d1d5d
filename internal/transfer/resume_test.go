package transfer

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cutConn is a connection that breaks after a number of bytes in either direction.
type cutConn struct {
	net.Conn
	left *atomic.Int64
}

func (c cutConn) spend(n int) {
	if c.left.Add(-int64(n)) < 0 {
		c.Close()
	}
}

func (c cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.spend(n)
	return n, err
}

func (c cutConn) Write(p []byte) (int, error) {
	c.spend(len(p))
	return c.Conn.Write(p)
}

// cutAfter has the connections of a rig break.
func (r *rig) cutAfter(n int64) {
	left := &atomic.Int64{}
	left.Store(n)
	r.wrap = func(c net.Conn) net.Conn { return cutConn{c, left} }
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = source.Read(b)
	return b
}

func TestCopy_ResumesOnlyTheSameFile(t *testing.T) {
	const size = 10 << 20
	original := noise(1, size)
	for name, c := range map[string]struct {
		between func(t *testing.T, from, to string) // what happens before the second copy
		resumes bool
	}{
		"nothing has changed": {func(*testing.T, string, string) {}, true},
		"a byte of what was copied has changed, and the time has not": {func(t *testing.T, from, _ string) {
			info, err := os.Stat(from)
			must(t, err)
			change(t, from, 100)
			must(t, os.Chtimes(from, info.ModTime(), info.ModTime()))
		}, false},
		"a byte of what was kept has changed": {func(t *testing.T, _, to string) {
			change(t, filepath.Join(filepath.Dir(to), partName("target")), 100)
		}, false},
		"a shorter file": {func(t *testing.T, from, _ string) { must(t, os.Truncate(from, 9<<20)) }, false},
		"a longer file":  {func(t *testing.T, from, _ string) { must(t, os.Truncate(from, 11<<20)) }, false},
		"another file of the same size": {func(t *testing.T, from, _ string) {
			must(t, os.WriteFile(from+".new", noise(9, size), 0o600), os.Rename(from+".new", from))
		}, false},
		"the record is missing": {func(t *testing.T, _, to string) {
			must(t, os.Remove(filepath.Join(filepath.Dir(to), partName("target")+recordSuffix)))
		}, false},
		"an unrelated file at the target": {func(t *testing.T, _, to string) { write(t, to, "unrelated") }, true},
		"what was kept is longer than the file": {func(t *testing.T, _, to string) {
			must(t, os.Truncate(filepath.Join(filepath.Dir(to), partName("target")), 12<<20))
		}, false},
		"what was kept ends in zeros that were never written": {func(t *testing.T, _, to string) {
			part := filepath.Join(filepath.Dir(to), partName("target"))
			must(t, os.Truncate(part, 1<<20), os.Truncate(part, 2<<20))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, direction := range []string{"out", "in"} {
				r := newRig(t)
				cp := map[string]func(string, string, Request) (Result, error){"out": r.fetch, "in": r.store}[direction]
				from, to := filepath.Join(t.TempDir(), "source"), filepath.Join(t.TempDir(), "target")
				must(t, os.WriteFile(from, original, 0o600))
				r.cutAfter(size * 2 / 5)
				if _, err := cp(from, to, Request{}); err == nil {
					t.Fatal("a copy whose connection broke has not failed")
				}
				if _, err := os.Lstat(to); !os.IsNotExist(err) {
					t.Errorf("%s: under the final name there is something: %v", direction, err)
				}
				c.between(t, from, to)
				r.wrap = func(c net.Conn) net.Conn { return c }
				result, err := cp(from, to, Request{})
				if err != nil || (result.Resumed > 0) != c.resumes {
					t.Fatalf("%s: %+v, %v", direction, result, err)
				}
				got, err1 := os.ReadFile(to)
				want, err2 := os.ReadFile(from)
				if must(t, err1, err2); !bytes.Equal(got, want) {
					t.Errorf("%s: the copy is another file, of %d bytes", direction, len(got))
				}
				if entries, err := os.ReadDir(filepath.Dir(to)); err != nil || len(entries) != 1 {
					t.Errorf("%s: beside the copy there is more: %v, %v", direction, entries, err)
				}
			}
		})
	}
}

// change changes a byte of a file, and its time.
func change(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	b := make([]byte, 1)
	_, err1 := f.ReadAt(b, at)
	b[0]++
	_, err2 := f.WriteAt(b, at)
	must(t, err1, err2)
}

// changing does something to a file in the middle of a copy.
type changing struct {
	net.Conn
	left *atomic.Int64
	do   func()
}

func (c changing) count(n int) {
	if was := c.left.Add(-int64(n)) + int64(n); was >= 0 && was < int64(n) {
		c.do()
	}
}

func (c changing) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count(n)
	return n, err
}

func (c changing) Write(p []byte) (int, error) {
	c.count(len(p))
	return c.Conn.Write(p)
}

func TestCopy_OfAFileThatChangesIsAnError(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, path string){
		"appended": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteString("more")
			must(t, err, f.Close())
		},
		"truncated": func(t *testing.T, path string) { must(t, os.Truncate(path, 100)) },
		"written":   func(t *testing.T, path string) { change(t, path, 5<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, _ func(string, string, Request) (Result, error)) {
				for _, in := range []bool{false, true} {
					r := newRig(t)
					from, to := filepath.Join(t.TempDir(), "source"), t.TempDir()
					must(t, os.WriteFile(from, noise(1, 6<<20), 0o600))
					left := &atomic.Int64{}
					left.Store(1 << 20)
					r.wrap = func(c net.Conn) net.Conn { return changing{c, left, func() { do(t, from) }} }
					cp := r.fetch
					if in {
						cp = r.store
					}
					if _, err := cp(from, to+"/f", Request{}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("changed while")) {
						t.Errorf("in %t: %v", in, err)
					}
					if got := listing(t, to); got != "" {
						t.Errorf("in %t: it leaves\n%s", in, got)
					}
				}
			})
		})
	}
}

// An interrupted tree leaves nothing, and what a killed process has left is no obstacle.
func TestCopy_AnInterruptedTreeLeavesNothing(t *testing.T) {
	for _, in := range []bool{false, true} {
		r := newRig(t)
		cp := r.fetch
		if in {
			cp = r.store
		}
		from, to := filepath.Join(t.TempDir(), "d"), t.TempDir()
		for _, name := range []string{"a", "b", "c/d"} {
			write(t, filepath.Join(from, name), string(noise(2, 1<<20)))
		}
		r.cutAfter(2 << 20)
		if _, err := cp(from, to, Request{}); err == nil {
			t.Fatal("a copy whose connection broke has not failed")
		}
		if got := listing(t, to); got != "" {
			t.Errorf("in %t: it leaves\n%s", in, got)
		}
		write(t, to+"/"+partName("d")+"/x/left", "by a process that was killed")
		r.wrap = func(c net.Conn) net.Conn { return c }
		if _, err := cp(from, to, Request{}); err != nil || listing(t, to+"/d") != listing(t, from) {
			t.Errorf("in %t: %v", in, err)
		}
		if entries, err := os.ReadDir(to); err != nil || len(entries) != 1 {
			t.Errorf("in %t: beside the copy there is more: %v, %v", in, entries, err)
		}
	}
}

// Of two copies to one target at a time the second is refused, and the first is not disturbed.
func TestCopy_OneAtATimeToATarget(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(from+"/f", noise(3, 1<<20), 0o600), os.Mkdir(from+"/d", 0o755), os.WriteFile(from+"/d/f", noise(3, 1<<20), 0o600))
	for _, name := range []string{"f", "d"} {
		r := newRig(t)
		reached, done := make(chan struct{}), make(chan error)
		proceed := make(chan struct{})
		left := &atomic.Int64{}
		left.Store(1 << 19)
		slow := newRig(t)
		slow.wrap = func(c net.Conn) net.Conn { return changing{c, left, func() { close(reached); <-proceed }} }
		go func() {
			remote := slow.connect(context.Background())
			defer remote.Close()
			_, err := remote.Fetch(context.Background(), Request{Path: byteString(from + "/" + name)}, "", to+"/t-"+name, &Progress{}, nil)
			done <- err
		}()
		select {
		case <-reached:
		case <-time.After(30 * time.Second):
			t.Fatal("the first copy has not begun")
		}
		if _, err := r.fetch(from+"/"+name, to+"/t-"+name, Request{}); codeOf(err) != "in_use" {
			t.Errorf("the second copy of %s: %v", name, err)
		}
		close(proceed)
		if err := <-done; err != nil {
			t.Errorf("the first copy of %s: %v", name, err)
		}
		slow.serving.Wait()
	}
	if got := listing(t, to); got != "t-d/\nt-d/f 1048576 bytes\nt-f 1048576 bytes" {
		t.Errorf("the target has\n%s", got)
	}
}

// What is under the name of a partial copy and is none is not touched.
func TestCopy_ForeignFileUnderTheNameOfAPartialCopy(t *testing.T) {
	from, to := write(t, t.TempDir()+"/f", "x"), t.TempDir()
	outside := write(t, t.TempDir()+"/outside", "outside")
	for name, put := range map[string]func(string) error{
		"a link":      func(p string) error { return os.Symlink(outside, p) },
		"a FIFO":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"a hard link": func(p string) error { return os.Link(outside, p) },
	} {
		part := to + "/" + partName("f")
		must(t, put(part))
		if _, err := newRig(t).fetch(from, to, Request{}); err == nil {
			t.Errorf("with %s the copy succeeds", name)
		}
		must(t, os.Remove(part))
		if data, err := os.ReadFile(outside); err != nil || string(data) != "outside" {
			t.Errorf("with %s the file outside is %q, %v", name, data, err)
		}
	}
}
