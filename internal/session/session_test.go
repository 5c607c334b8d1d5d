package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/hosttest"
	"banger/internal/machine"
)

// vmName is the VM of newHost.
const vmName = "vm"

func newHost(t *testing.T) *hosttest.Host {
	t.Helper()
	h := hosttest.New(t, bin)
	h.StartVM(vmName)
	return h
}

// shell is a request for a session that runs a script.
func shell(name, script string) banger.SessionRequest {
	return banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: "/bin/sh", Args: []banger.ByteString{"-c", banger.ByteString(script)}, StdinMode: banger.StdinPipe,
	}}
}

func start(t *testing.T, h *hosttest.Host, r banger.SessionRequest) banger.Session {
	t.Helper()
	x, err := h.Sessions.StartSession(t.Context(), vmName, r)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func wait(t *testing.T, h *hosttest.Host, name string) banger.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	x, err := h.Sessions.WaitSession(ctx, vmName, name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// read returns what a session wrote to stdout.
func read(t *testing.T, h *hosttest.Host, name string, r banger.LogRequest) string {
	t.Helper()
	var out bytes.Buffer
	r.Stream = banger.StreamStdout
	_, err := h.Streams.ReadLogs(t.Context(), vmName, name, r, func(c banger.LogChunk) error {
		out.Write(c.Data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func send(t *testing.T, h *hosttest.Host, name, data string, eof bool) banger.SendResult {
	t.Helper()
	r, err := h.Streams.SendSession(t.Context(), vmName, name, banger.SendRequest{Data: strings.NewReader(data), EOF: eof})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var all = banger.LogRequest{Lines: -1}

func TestSession_EndWhileNoDaemonRanIsFound(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "read line; echo got $line; exit 3"))
	send(t, h, "s", "it\n", false)
	h.Restart()
	x := wait(t, h, "s")
	if x.Status != banger.StatusFailed || x.ExitCode == nil || *x.ExitCode != 3 || x.EndedBy != banger.EndedByExit {
		t.Errorf("%+v", x.SessionState)
	}
	if got := read(t, h, "s", all); got != "got it\n" {
		t.Errorf("log is %q", got)
	}
}

func TestSession_StdinIsTakenOnceThroughCutLinks(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "cat"))
	var want strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&want, "line %d of many\n", n)
	}
	// The reader cuts the link between two pieces of what is sent.
	pieces := &cutting{r: strings.NewReader(want.String()), cut: h.Cut}
	r, err := h.Streams.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: pieces, EOF: true})
	if err != nil || !r.EOF || r.Offset != int64(want.Len()) {
		t.Errorf("got %+v, %v", r, err)
	}
	wait(t, h, "s")
	if got := read(t, h, "s", all); got != want.String() {
		t.Errorf("%d bytes came out, want %d", len(got), want.Len())
	}
}

// cutting reads in small pieces and cuts the link before some of them.
type cutting struct {
	r     io.Reader
	cut   func()
	reads int
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.reads++; c.reads%5 == 0 {
		c.cut()
	}
	return c.r.Read(p[:min(len(p), 4000)])
}

func TestSession_RetriedInputIsTakenOnce(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "cat"))
	zero, beyond := int64(0), int64(100)
	for range 2 {
		r, err := h.Streams.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader("hello\n"), Offset: &zero})
		if err != nil || r.Offset != 6 {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
	r, err := h.Streams.SendSession(t.Context(), vmName, "s", banger.SendRequest{Data: strings.NewReader("x"), Offset: &beyond})
	if banger.CodeOf(err) != banger.CodeState || r.Offset != 6 {
		t.Errorf("an offset beyond what was accepted: %+v, %v", r, err)
	}
	send(t, h, "s", "", true)
	wait(t, h, "s")
	if got := read(t, h, "s", all); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

func TestSession_SameKeyStartsOneSession(t *testing.T) {
	h := newHost(t)
	ids := make(chan banger.SessionID, 20)
	var group sync.WaitGroup
	for range cap(ids) {
		group.Go(func() {
			r := shell("", "exit 0")
			r.IdempotencyKey = "key"
			x, err := h.Sessions.StartSession(t.Context(), vmName, r)
			if err != nil {
				t.Error(err)
			}
			ids <- x.ID
		})
	}
	group.Wait()
	close(ids)
	first := <-ids
	for id := range ids {
		if id != first {
			t.Errorf("two sessions of one key: %s and %s", first, id)
		}
	}
	// A client that repeats its request when the VM has stopped still gets it.
	if _, err := h.VMs.StopVM(t.Context(), vmName, banger.VMStopRequest{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	again := shell("", "exit 0")
	again.IdempotencyKey = "key"
	if x, err := h.Sessions.StartSession(t.Context(), vmName, again); err != nil || x.ID != first {
		t.Errorf("with the VM stopped the key leads to session %s, error %v", x.ID, err)
	}
}

func TestSession_KeyOfAStartThatDiedWithItsDaemonStartsOne(t *testing.T) {
	h := newHost(t)
	vm, err := h.VMs.GetVM(t.Context(), vmName)
	if err != nil {
		t.Fatal(err)
	}
	// What a daemon leaves that dies between its answer to a start with NoWait and the launch.
	left := banger.Session{
		ID: banger.NewSessionID(), VMID: vm.ID, Name: "s", Launch: shell("s", "true").Launch,
		SessionState: banger.SessionState{Status: banger.StatusStarting},
	}
	if _, _, err := h.Store.Sessions.CreateSession(t.Context(), left, "key"); err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if x := wait(t, h, string(left.ID)); x.EndedBy != banger.EndedByLaunch || !x.NeverArrived() {
		t.Fatalf("the session that was left: %+v", x.SessionState)
	}
	again := shell("s", "echo ran")
	again.IdempotencyKey, again.NoWait = "key", true
	second := start(t, h, again)
	if second.ID == left.ID {
		t.Fatal("the key leads to the session that never ran")
	}
	if third := start(t, h, again); third.ID != second.ID {
		t.Errorf("the key leads to session %s and then to %s", second.ID, third.ID)
	}
	if x := wait(t, h, "s"); x.ID != second.ID || x.Status != banger.StatusExited {
		t.Errorf("session s is %s: %+v", x.ID, x.SessionState)
	}
	if got := read(t, h, "s", all); got != "ran\n" {
		t.Errorf("log is %q", got)
	}
}

// burning are disks that cannot be read.
type burning struct{ machine.Disks }

func (burning) ReadDisk(context.Context, string, func(fs.FS) error) error {
	return errors.New("the disk is on fire")
}

func TestSession_EndPresumedForALostMachineIsCorrectedByItsDisk(t *testing.T) {
	h := hosttest.NewWith(t, bin, hosttest.Options{Disks: func(d machine.Disks) machine.Disks { return burning{d} }})
	h.StartVM(vmName)
	flag := filepath.Join(t.TempDir(), "flag")
	x := start(t, h, shell("ended", "until test -e "+flag+"; do sleep 0.02; done; exit 4"))
	start(t, h, shell("running", "exec sleep 1000"))
	h.Driver.Crash(x.VMID)
	for _, name := range []string{"ended", "running"} {
		if x := wait(t, h, name); x.EndedBy != banger.EndedByVMLost {
			t.Errorf("%s: %+v", name, x.SessionState)
		}
	}
	// One command ends where no daemon can hear of it, but the disk can.
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.WaitRecorded(x)
	h.PowerOff(x.VMID)
	if _, err := h.VMs.StartVM(t.Context(), vmName); err != nil {
		t.Fatal(err)
	}
	if x := wait(t, h, "ended"); x.EndedBy != banger.EndedByExit || x.ExitCode == nil || *x.ExitCode != 4 {
		t.Errorf("the guest's record was not taken over: %+v", x.SessionState)
	}
	if x := wait(t, h, "running"); x.EndedBy != banger.EndedByShimLost {
		t.Errorf("the guest's record was not taken over: %+v", x.SessionState)
	}
}

func TestSession_WaitEndsWhenTheSessionIsRemoved(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "exec sleep 1000"))
	waited := make(chan error, 1)
	go func() {
		_, err := h.Sessions.WaitSession(t.Context(), vmName, "s")
		waited <- err
	}()
	if err := h.Sessions.RemoveSession(t.Context(), vmName, "s", true); err != nil {
		t.Fatal(err)
	}
	// It has been killed before, which the waiting call may have seen.
	if err := <-waited; err != nil && banger.CodeOf(err) != banger.CodeGone && banger.CodeOf(err) != banger.CodeNotFound {
		t.Error(err)
	}
	if _, err := h.Sessions.GetSession(t.Context(), vmName, "s"); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

func TestSession_WaitingCallEndsWithItsClient(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "exec sleep 1000"))
	gone := errors.New("client has gone")
	ctx, leave := context.WithCancelCause(t.Context())
	leave(gone)
	calls := map[string]func() error{
		"wait": func() error { _, err := h.Sessions.WaitSession(ctx, vmName, "s"); return err },
		"logs": func() error {
			_, err := h.Streams.ReadLogs(ctx, vmName, "s", banger.LogRequest{Follow: true}, func(banger.LogChunk) error { return nil })
			return err
		},
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, gone) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The agent may lie where old files are removed, and where others may make new ones.
func TestStart_RunsTheProgramThatWasThereAtTheLogin(t *testing.T) {
	dir := t.TempDir()
	moved := bin
	moved.Shim = filepath.Join(dir, "banger-shim")
	program, err := os.ReadFile(bin.Shim)
	if err == nil {
		err = os.WriteFile(moved.Shim, program, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := hosttest.New(t, moved)
	h.StartVM(vmName)
	startIn(t, h, vmName, shell("first", "true"))
	if err := os.Remove(moved.Shim); err != nil {
		t.Fatal(err)
	}
	strange := filepath.Join(dir, "ran")
	if err := os.WriteFile(moved.Shim, []byte("#!/bin/sh\ntouch "+strange+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 3 { // one shim waits already
		x := startIn(t, h, vmName, shell(fmt.Sprint("s", n), "cat /proc/$PPID/comm"))
		if x.ExitCode == nil || *x.ExitCode != 0 {
			t.Errorf("%s: %+v", x.Name, x.SessionState)
		}
		if got := read(t, h, x.Name, all); got != "banger-shim\n" {
			t.Errorf("its shim is called %q", got)
		}
	}
	if _, err := os.Stat(strange); err == nil {
		t.Error("the program of that name was run")
	}
}

// running starts a session s that runs.
func running(t *testing.T, r *rig) banger.Session {
	t.Helper()
	r.guest.launch = func(_ context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
		return report(l.ID, 1, banger.StatusRunning), nil
	}
	return <-r.begin(t, "")
}

// waited returns the end of session s.
func waited(t *testing.T, r *rig) <-chan banger.Session {
	t.Helper()
	ended := make(chan banger.Session, 1)
	go func() {
		x, err := r.WaitSession(t.Context(), vmName, "s")
		if err != nil {
			t.Error(err)
		}
		ended <- x
	}()
	return ended
}

// startIn starts a session in a VM and waits until it has ended.
func startIn(t *testing.T, h *hosttest.Host, vm string, r banger.SessionRequest) banger.Session {
	t.Helper()
	x, err := h.Sessions.StartSession(t.Context(), vm, r)
	if err == nil {
		x, err = h.Sessions.WaitSession(t.Context(), vm, string(x.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}
