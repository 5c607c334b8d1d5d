package transfer

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
)

// rig is a server of this process, as the agent is one, and its clients.
type rig struct {
	t       *testing.T
	wrap    func(net.Conn) net.Conn // what the client gets of a connection
	serving sync.WaitGroup
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, wrap: func(c net.Conn) net.Conn { return c }}
	t.Cleanup(r.serving.Wait)
	return r
}

// connect connects a client with a server.
func (r *rig) connect(ctx context.Context) *Remote {
	ours, theirs := net.Pipe()
	server := Server{
		Read: func(q Request, f func(context.Context, *Opened) error) error {
			return ReadPath(ctx, string(q.Path), q.Follow, f)
		},
		Writable: func(q Request) (string, error) { return string(q.Path), nil },
	}
	r.serving.Go(func() {
		defer theirs.Close()
		_ = server.Serve(ctx, theirs)
	})
	return Connect(ctx, r.wrap(ours))
}

// fetch copies out of the server, store into it.
func (r *rig) fetch(from, to string, q Request) (Result, error) {
	remote := r.connect(r.t.Context())
	defer remote.Close()
	q.Path = byteString(from)
	return remote.Fetch(r.t.Context(), q, "test ", to, &Progress{}, func(string) {})
}

func (r *rig) store(from, to string, q Request) (Result, error) {
	defer r.serving.Wait() // the server has tidied up
	source, err := OpenSource(from, q.Follow)
	if err != nil {
		return Result{}, err
	}
	defer source.Close()
	remote := r.connect(r.t.Context())
	defer remote.Close()
	q.Path = byteString(to)
	return remote.Store(r.t.Context(), source, BaseName(from), from, q, &Progress{})
}

// bothWays runs a test for each direction.
func bothWays(t *testing.T, f func(t *testing.T, cp func(from, to string, q Request) (Result, error))) {
	for name, direction := range map[string]func(*rig) func(string, string, Request) (Result, error){
		"out": func(r *rig) func(string, string, Request) (Result, error) { return r.fetch },
		"in":  func(r *rig) func(string, string, Request) (Result, error) { return r.store },
	} {
		t.Run(name, func(t *testing.T) { f(t, direction(newRig(t))) })
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// listing describes all that is in a directory, one line for each entry. What the copy leaves
// behind it would be in it.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		line := name
		switch {
		case d.IsDir():
			line += "/"
		case d.Type() == fs.ModeSymlink:
			to, _ := os.Readlink(path)
			line += " -> " + to
		case !d.Type().IsRegular():
			line += " " + d.Type().String()
		default:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if len(data) > 100 {
				line += fmt.Sprintf(" %d bytes", len(data))
			} else {
				line += fmt.Sprintf(" %q", data)
			}
			if first, ok := inodes[st.Ino]; ok {
				line += " = " + first
			}
			inodes[st.Ino] = name
		}
		lines = append(lines, line)
		return nil
	})
	must(t, err)
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// write makes a file.
func write(t *testing.T, path, data string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644))
	return path
}

// speak plays a server that a test has written: it hears the request and whatever else the
// client says, and says what the test wants.
func speak(t *testing.T, source Source, say func(f *frames)) *Remote {
	t.Helper()
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	serving.Go(func() {
		defer theirs.Close()
		f := newFrames(theirs)
		var q Request
		if f.hear(frameRequest, &q) != nil || f.say(frameAnswer, Answer{Source: &source}) != nil || f.hear(frameGo, &Have{}) != nil {
			return
		}
		say(f)
		_ = f.flush()
		_, _ = io.Copy(io.Discard, theirs)
	})
	remote := Connect(t.Context(), ours)
	t.Cleanup(remote.Close)
	return remote
}

// codeOf is what kind of refusal an error is.
func codeOf(err error) banger.Code { return banger.CodeOf(err) }
