//go:build !unit

package control_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"banger"
	"banger/internal/files"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
	"banger/test/wait"
)

func TestSession_SurvivesKillOfControl(t *testing.T) {
	dir := sessions(t)
	l, cmd := serveProcess(t, dir)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	counter := l.start(banger.StdinClosed, "sh", "-c", "echo before; read x < "+gate+"; seq 1000; exit 3")
	idle := l.start(banger.StdinPipe, "cat")
	if r := l.write(idle.ID, "first ", false); r.Offset != 6 {
		t.Fatalf("write = %+v", r)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.hangs()

	l, _ = serveProcess(t, dir)
	list := l.list()
	if len(list) != 2 || list[counter.ID].Status != banger.StatusRunning || list[idle.ID].GuestPID != idle.GuestPID {
		t.Fatalf("the new server knows %+v", list)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	end := l.awaitEnd(counter.ID)
	if end.ExitCode == nil || *end.ExitCode != 3 || end.EndedBy != banger.EndedByExit {
		t.Errorf("the end is %+v", end)
	}
	var want strings.Builder
	want.WriteString("before\n")
	for i := range 1000 {
		fmt.Fprintln(&want, i+1)
	}
	if got := l.output(counter.ID, banger.StreamStdout); got != want.String() {
		t.Errorf("%d bytes of output, want %d", len(got), want.Len())
	}
	if r := l.write(idle.ID, "second", true); r.Offset != 12 || !r.EOF {
		t.Errorf("write = %+v", r)
	}
	if got := l.output(idle.ID, banger.StreamStdout); got != "first second" {
		t.Errorf("cat printed %q", got)
	}
}

func TestWatch_ShimsThatDoNotAnswerHinderNobody(t *testing.T) {
	dir := sessions(t)
	l := serve(t, dir)
	for range 10 {
		frozen := parent(t, l.start(banger.StdinPipe, "cat").GuestPID)
		if err := syscall.Kill(frozen, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(frozen, syscall.SIGCONT) }()
	}
	s, killed := l.start(banger.StdinPipe, "cat"), l.start(banger.StdinPipe, "cat")
	next := serve(t, dir)
	if list := next.list(); len(list) != 12 {
		t.Errorf("%d sessions are known", len(list))
	}
	next.write(s.ID, "", true)
	if end := next.awaitEnd(s.ID); end.Status != banger.StatusExited {
		t.Errorf("the end is %+v", end)
	}
	// This one nobody has asked for.
	if err := syscall.Kill(killed.GuestPID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if end := next.awaitEnd(killed.ID); end.ExitSignal != "SIGKILL" {
		t.Errorf("the end is %+v", end)
	}
}

func TestSession_ThatEndedWithoutControlIsKnownToTheNext(t *testing.T) {
	dir := sessions(t)
	l, cmd := serveProcess(t, dir)
	s := l.start(banger.StdinPipe, "sh", "-c", "read x; exit 7")
	conn := filepath.Join(dir, string(s.ID))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	l.hangs()
	if err := syscall.Kill(s.GuestPID, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the end", func() bool {
		state, err := sessiondir.ReadState(os.DirFS(conn))
		return err == nil && state.Status.Ended()
	})
	l = serve(t, dir)
	if end := l.list()[s.ID]; end.ExitSignal != "SIGUSR1" || end.EndedBy != banger.EndedBySignal {
		t.Errorf("the end is %+v", end)
	}
}

// A process that executes a program has no environment for a moment, by which it could be
// known; one that does nothing else is met in that moment soon.
func TestSession_WhatExecutesAProgramDiesWithALostShim(t *testing.T) {
	t.Setenv(cgroupVariable, "")
	script := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec \"$0\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := serve(t, sessions(t))
	for range 10 {
		s := l.start(banger.StdinPipe, "sh", "-c", `setsid "$0" >/dev/null 2>&1 & echo $!; read y`, script)
		text, err := l.read(t.Context(), guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamStdout, MaxBytes: 100, Wait: true})
		if err != nil {
			t.Fatal(err)
		}
		straggler, err := strconv.Atoi(strings.TrimSpace(pageText(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(parent(t, s.GuestPID), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		l.awaitEnd(s.ID)
		if alive(straggler) {
			_ = syscall.Kill(straggler, syscall.SIGKILL)
			t.Fatal("a process of the session runs on")
		}
	}
}

// testCgroup makes a cgroup (v2) for the test, which needs root.
func testCgroup(t *testing.T) string {
	t.Helper()
	for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(mount, "cgroup.procs")); err != nil {
			continue
		}
		dir, err := os.MkdirTemp(mount, "banger-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
		return dir
	}
	t.Fatal("this test needs root and a cgroup v2 file system")
	return ""
}

// longAgo has everything in a session's directory written before the machine booted.
func longAgo(t *testing.T, dir string, id banger.SessionID) banger.SessionID {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, string(id)))
	for _, e := range entries {
		err = errors.Join(err, os.Chtimes(filepath.Join(dir, string(id), e.Name()), time.Unix(1, 0), time.Unix(1, 0)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestScan_RecordsWhatAnotherBootOrALostShimLeft builds the directories that are
// found after the death of a machine, of a shim, and of a disk.
func TestScan_RecordsWhatAnotherBootOrALostShimLeft(t *testing.T) {
	dir := sessions(t)
	written := time.Now().Add(-10 * time.Second).Truncate(time.Second).UTC() // since the machine booted
	left := func(change func(s *sessiondir.State), then func(dir string)) banger.SessionID {
		path, lock, err := sessiondir.Create(dir, launchOf(banger.StdinClosed, "sleep", "60"))
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()
		state, err := sessiondir.ReadState(os.DirFS(path))
		if err != nil {
			t.Fatal(err)
		}
		change(&state)
		if err := sessiondir.WriteState(path, state); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, sessiondir.StdoutName), []byte("kept\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		then(path)
		for _, name := range []string{sessiondir.StateName, sessiondir.StdoutName} {
			_ = os.Chtimes(filepath.Join(path, name), written, written)
		}
		return state.ID
	}
	running := func(s *sessiondir.State) { s.Status, s.Sequence = banger.StatusRunning, 5 }
	nothing := func(string) {}
	code := 0
	for name, test := range map[string]struct {
		id      banger.SessionID
		status  banger.Status
		endedBy banger.EndedBy
	}{
		"another boot":           {left(func(s *sessiondir.State) { running(s); s.BootID = "another" }, nothing), banger.StatusFailed, banger.EndedByVMLost},
		"starting, another boot": {left(func(s *sessiondir.State) { s.BootID = "another" }, nothing), banger.StatusFailed, banger.EndedByVMLost},
		"this boot":              {left(running, nothing), banger.StatusFailed, banger.EndedByShimLost},
		"this boot, pid reused": {left(func(s *sessiondir.State) { running(s); s.GuestPID, s.PIDStartTime = os.Getpid(), 1 }, nothing),
			banger.StatusFailed, banger.EndedByShimLost},
		"never ran": {left(func(*sessiondir.State) {}, nothing), banger.StatusFailed, banger.EndedByLaunch},
		"ended before the crash": {left(func(s *sessiondir.State) {
			running(s)
			s.BootID, s.Status, s.ExitCode, s.EndedBy = "another", banger.StatusExited, &code, banger.EndedByExit
		}, nothing), banger.StatusExited, banger.EndedByExit},
		"a state that is garbage": {left(running, func(d string) { _ = os.WriteFile(filepath.Join(d, sessiondir.StateName), []byte("\x00\x00"), 0o600) }), banger.StatusFailed, banger.EndedByShimLost},
		"a state that a crash has damaged": {left(func(s *sessiondir.State) { running(s); s.BootID = "another" }, func(d string) {
			state, err := sessiondir.ReadState(os.DirFS(d))
			if err == nil {
				err = errors.Join(sessiondir.WriteState(d, state), os.WriteFile(filepath.Join(d, sessiondir.StateName), nil, 0o600))
			}
			if err != nil {
				t.Fatal(err)
			}
		}), banger.StatusFailed, banger.EndedByVMLost},
		"a state that a crash has not left": {longAgo(t, dir, left(running, func(d string) {
			for _, name := range []string{sessiondir.StateName, files.SparePath(sessiondir.StateName)} {
				if err := os.WriteFile(filepath.Join(d, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})), banger.StatusFailed, banger.EndedByVMLost},
		"no state":       {left(running, func(d string) { os.Remove(filepath.Join(d, sessiondir.StateName)) }), banger.StatusFailed, banger.EndedByShimLost},
		"nothing at all": {left(running, func(d string) { _ = os.RemoveAll(d); _ = os.Mkdir(d, 0o700) }), banger.StatusFailed, banger.EndedByShimLost},
	} {
		t.Run(name, func(t *testing.T) {
			l := serve(t, dir)
			s, ok := l.list()[test.id]
			if !ok || s.Status != test.status || s.EndedBy != test.endedBy {
				t.Fatalf("it is %+v, want %s by %s", s, test.status, test.endedBy)
			}
			garbage := strings.Contains(name, "state") || strings.Contains(name, "nothing")
			if garbage && (s.LastError == "" || s.Sequence < 1000) {
				t.Errorf("it is %+v; want the reason, and a sequence above all that were told", s)
			}
			if !garbage && s.Status == banger.StatusFailed && (!s.EndedAt.Equal(written) || s.StdoutBytes != 5) {
				t.Errorf("it ended at %s with %d bytes, want %s and 5", s.EndedAt, s.StdoutBytes, written)
			}
			if out := l.output(s.ID, banger.StreamStdout); name != "nothing at all" && out != "kept\n" {
				t.Errorf("its output is %q", out)
			}
			l.hangs()
			if again := serve(t, dir).list()[test.id]; again.Sequence != s.Sequence || !again.EndedAt.Equal(s.EndedAt) {
				t.Errorf("the next server says %+v, the first said %+v", again, s)
			}
		})
	}
}

func TestServe_EndsWithItsInputAndLeavesSessionsAlone(t *testing.T) {
	dir := sessions(t)
	before := goleak.IgnoreCurrent()
	l := serve(t, dir)
	s := l.start(banger.StdinPipe, "cat")
	waiting := make(chan error, 1)
	go func() {
		_, err := l.read(t.Context(), guestapi.GuestLogRead{ID: s.ID, Stream: banger.StreamBoth, MaxBytes: 1, Wait: true})
		waiting <- err
	}()
	l.hangs()
	if err := <-waiting; err == nil {
		t.Error("a request was answered that could not be")
	}
	goleak.VerifyNone(t, before)
	if list := serve(t, dir).list(); len(list) != 1 || list[s.ID].Status != banger.StatusRunning {
		t.Errorf("the sessions are %+v", list)
	}
}
