//go:build !unit

package qemu

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/vmm"
	"banger/test/wait"
)

// startTestScribe starts a scribe in a directory.
func startTestScribe(t *testing.T, dir string) (*launch, *heldProcess, outlets) {
	t.Helper()
	l := &launch{spec: vmm.MachineSpec{StateDir: dir}}
	if err := l.createFiles(); err != nil {
		t.Fatal(err)
	}
	scribe, out, err := l.startScribe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(out.begin, "go\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		out.close()
		scribe.finish()
		if !scribe.ended() {
			t.Error("the scribe does not end with its machine")
		}
		scribe.release()
	})
	return l, scribe, out
}

// flood writes numbered lines, and returns the end of them.
func flood(t *testing.T, w io.Writer, size int) (end []byte) {
	t.Helper()
	var block bytes.Buffer
	for n := 0; n < size; n += block.Len() {
		block.Reset()
		for i := range 1000 {
			fmt.Fprintf(&block, "%12d %50d\n", n, i)
		}
		if _, err := w.Write(block.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return block.Bytes()
}

// takes is what the files of a directory take of the disk.
func takes(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var stat unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, e.Name()), &stat); err == nil { // it may be renamed just now
			bytes += stat.Blocks * 512
		}
	}
	return bytes
}

// The whole promise: no daemon is there, a guest writes as much as it can to all that
// it has, and what it takes of the host's disk never passes the sum of the limits.
func TestScribe_WhatAMachineSaysIsBoundedThoughNoDaemonLives(t *testing.T) {
	dir := t.TempDir()
	_, _, out := startTestScribe(t, dir)
	const most = 2*maxConsoleBytes + 2*maxQEMULogBytes + maxReadyBytes + 1<<20
	const each = 32 << 20
	if err := out.ready.SetWriteDeadline(time.Now()); err != nil { // the port takes no more some time
		t.Fatal(err)
	}
	for range 4 {
		flood(t, out.console, each/4)
		flood(t, out.messages, each/4)
		for {
			if _, err := out.ready.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		if n := takes(t, dir); n > most {
			t.Fatalf("the files take %d bytes", n)
		}
	}
	end := flood(t, out.console, 1)
	wait.For(t, "the newest output is there", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, consoleName))
		return err == nil && bytes.HasSuffix(data, end)
	})
	old, err := os.Stat(filepath.Join(dir, consoleName+oldSuffix))
	if err != nil || old.Size() != maxConsoleBytes {
		t.Errorf("the old part: %v, %v", old, err)
	}
	if info, err := os.Stat(filepath.Join(dir, readyName)); err != nil || info.Size() > maxReadyBytes {
		t.Errorf("the ready port: %v, %v", info, err)
	}
}

func TestScribe_WritesAtOnceAndEverythingBeforeTheEnd(t *testing.T) {
	dir := t.TempDir()
	_, scribe, out := startTestScribe(t, dir)
	if _, err := io.WriteString(out.ready, "ready x\n"); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "a line is written while the machine runs", func() bool {
		ready, err := announced(filepath.Join(dir, readyName))
		return err == nil && ready
	})
	for range 100 {
		if _, err := io.WriteString(out.console, "last words\n"); err != nil {
			t.Fatal(err)
		}
	}
	out.close()
	scribe.finish()
	data, err := os.ReadFile(filepath.Join(dir, consoleName))
	if err != nil || string(data) != strings.Repeat("last words\n", 100) {
		t.Errorf("it has %d bytes, %v", len(data), err)
	}
}

// A guest never waits for the host's disk to have room for what it prints.
func TestScribe_GoesOnOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("cannot mount a small disk, for which root is needed: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	_, _, out := startTestScribe(t, dir)
	end := flood(t, out.console, 16<<20)
	wait.For(t, "the newest output is there", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, consoleName))
		return err == nil && bytes.HasSuffix(data, end[len(end)-64:])
	})
}

func TestAnnounced_JunkFailsEarly(t *testing.T) {
	path := filepath.Join(t.TempDir(), readyName)
	for text, want := range map[string]struct {
		ready bool
		code  banger.Code
	}{
		"":                          {},
		"rea":                       {},
		"ready 3fe1":                {},
		"ready 3fe1\n":              {ready: true},
		"off 3fe1\nready 4\n":       {ready: true},
		"off 3fe1\n":                {},
		"junk\n":                    {code: banger.CodeUnavailable},
		"off 3fe1\njunk\nready x\n": {code: banger.CodeUnavailable},
		strings.Repeat("x", 100):    {code: banger.CodeUnavailable},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ready, err := announced(path); ready != want.ready || banger.CodeOf(err) != want.code {
			t.Errorf("%.20q: %v, %v", text, ready, err)
		}
	}
}

// A user has so many inotify instances; an editor may have them all.
func TestMachine_WaitReadyNeedsNoWatch(t *testing.T) {
	dir := t.TempDir()
	for {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if errors.Is(err, unix.EMFILE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
	}
	m := &machine{record: record{StateDir: dir}, watch: &fileWatch{}, done: make(chan struct{}), live: t.Context()}
	path := filepath.Join(dir, readyName)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- m.WaitReady(t.Context()) }()
	if err := os.WriteFile(path, []byte("ready 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if err := m.WaitReady(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
