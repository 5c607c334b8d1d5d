package transfer

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
)

// counted counts what a client does on its connection.
type counted struct {
	net.Conn
	reads, writes atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// However many files there are, the receiver speaks twice, the sender waits for nothing in
// between, and no file takes a message or a buffer of its own.
func TestCopy_OfManyFilesIsOneStream(t *testing.T) {
	const files = 2000
	from := filepath.Join(t.TempDir(), "tree")
	for n := range files {
		write(t, fmt.Sprintf("%s/%d", from, n), "a small file")
	}
	for name, way := range map[string]func(*rig) func(string, string, Request) (Result, error){
		"out": func(r *rig) func(string, string, Request) (Result, error) { return r.fetch },
		"in":  func(r *rig) func(string, string, Request) (Result, error) { return r.store },
	} {
		t.Run(name, func(t *testing.T) {
			r, conn := newRig(t), &counted{}
			r.wrap = func(c net.Conn) net.Conn { conn.Conn = c; return conn }
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			result, err := way(r)(from, t.TempDir(), Request{})
			runtime.ReadMemStats(&after)
			if err != nil || result.Files != files {
				t.Fatalf("%+v, %v", result, err)
			}
			receiver, sender := conn.writes.Load(), conn.reads.Load()
			if name == "in" {
				receiver, sender = sender, receiver
			}
			if receiver != 2 || sender > files/100 {
				t.Errorf("the receiver speaks %d times and the sender %d times", receiver, sender)
			}
			if each := (after.TotalAlloc - before.TotalAlloc) / files; each > 8<<10 {
				t.Errorf("a file takes %d bytes of memory", each)
			}
		})
	}
}
