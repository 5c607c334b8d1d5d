//go:build !unit

package session_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
	"banger/internal/sessiondir"
	"banger/internal/vmm"
)

// known makes the record of a session in a status, as the daemon last heard of it.
func (r *rig) known(t *testing.T, name string, status banger.Status) banger.Session {
	t.Helper()
	x := banger.Session{ID: banger.NewSessionID(), VMID: r.vm.ID, Name: name, Launch: banger.Launch{Command: "x", StdinMode: banger.StdinClosed}}
	x.Status, x.Sequence = status, 2
	x, _, err := r.store.Sessions.CreateSession(t.Context(), x, "")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// named returns a session's record.
func (r *rig) named(t *testing.T, name string) banger.Session {
	t.Helper()
	x, err := r.GetSession(t.Context(), vmName, name)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// disk is a directory with session directories.
type disk string

// put makes the directory of a session with some output and a state.
func (d disk) put(t *testing.T, id banger.SessionID, out string, at time.Time, state banger.SessionState) {
	t.Helper()
	dir, lock, err := sessiondir.Create(string(d), guestapi.GuestLaunch{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	w, err := sessiondir.OpenWriter(dir, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.Append(banger.StreamStdout, []byte(out), at); err != nil {
		t.Fatal(err)
	}
	if err := sessiondir.WriteState(dir, sessiondir.State{ID: id, SessionState: state}); err != nil {
		t.Fatal(err)
	}
	d.touch(t, id, at)
}

// touch sets when the files of a session were written.
func (d disk) touch(t *testing.T, id banger.SessionID, at time.Time) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(string(d), string(id), "*"))
	for _, file := range files {
		err = errors.Join(err, os.Chtimes(file, at, at))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// end is how a machine ended whose work disk it is.
func (d disk) end(at time.Time) vmm.MachineEnd {
	return vmm.MachineEnd{By: banger.EndedByVMLost, At: at, Disk: func(ctx context.Context, f func(context.Context, fs.FS) error) error {
		return f(ctx, os.DirFS(string(d)))
	}}
}

// changes returns how many events there are of each session after a revision.
func (r *rig) changes(t *testing.T, since int64) map[string]int {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	last, err := r.store.Events.Revision(ctx)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	if last == since {
		return count
	}
	err = r.store.Events.WatchEvents(ctx, since, func(e banger.Event) error {
		if e.Session != nil {
			count[e.Session.Name]++
		}
		if e.Revision == last {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return count
}

// ended is the state of a session that exited with a status.
func ended(code int, at time.Time) banger.SessionState {
	return banger.SessionState{
		Status: banger.StatusFailed, ExitCode: &code, EndedBy: banger.EndedByExit, StdoutBytes: 4, StdinOffset: 7,
		StartedAt: at.Add(-time.Minute), EndedAt: at, Sequence: 3,
	}
}

func TestMachineEnded_SessionsHaveWhatIsOnTheDiskAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		runs := banger.SessionState{Status: banger.StatusRunning, GuestPID: 9, StartedAt: at.Add(-time.Hour), Sequence: 2}
		before := r.known(t, "before", banger.StatusExited) // of another boot
		exited, running := r.known(t, "exited", banger.StatusRunning), r.known(t, "running", banger.StatusRunning)
		begun, nothing := r.known(t, "begun", banger.StatusStarting), r.known(t, "nothing", banger.StatusRunning)
		garbage, other := r.known(t, "garbage", banger.StatusRunning), r.known(t, "other", banger.StatusStopping)
		d.put(t, exited.ID, "out\n", at, ended(4, at))
		d.put(t, running.ID, "output\n", at, runs)
		runs.Sequence = 3
		d.put(t, begun.ID, "o", at, runs)
		d.put(t, garbage.ID, "some", at, runs)
		if err := os.WriteFile(filepath.Join(string(d), string(garbage.ID), "state.json"), []byte("{{{"), 0o600); err != nil {
			t.Fatal(err)
		}
		d.put(t, other.ID, "", at, runs)
		if err := os.Rename(filepath.Join(string(d), string(exited.ID), "spec.json"), filepath.Join(string(d), string(other.ID), "spec.json")); err != nil {
			t.Fatal(err)
		}
		state, err := os.ReadFile(filepath.Join(string(d), string(exited.ID), "state.json"))
		if err == nil {
			err = os.WriteFile(filepath.Join(string(d), string(other.ID), "state.json"), state, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		stranger := banger.NewSessionID()
		d.put(t, stranger, "x", at, runs)
		since, err := r.store.Events.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		lost := time.Now().UTC()
		r.end(t, d.end(lost))

		if x := r.named(t, "exited"); x.ExitCode == nil || *x.ExitCode != 4 || x.EndedBy != banger.EndedByExit || !x.EndedAt.Equal(at) || x.StdoutBytes != 4 || x.StdinOffset != 7 {
			t.Errorf("with an exit record: %+v", x.SessionState)
		}
		if x := r.named(t, "running"); x.EndedBy != banger.EndedByVMLost || !x.EndedAt.Equal(lost) || x.StdoutBytes != 7 || x.LastError != "" {
			t.Errorf("that ran: %+v", x.SessionState)
		}
		if x := r.named(t, "begun"); x.EndedBy != banger.EndedByVMLost || x.GuestPID != 9 || x.StdoutBytes != 1 || !x.StartedAt.Equal(runs.StartedAt) {
			t.Errorf("that ran before the answer came: %+v", x.SessionState)
		}
		if x := r.named(t, "nothing"); x.EndedBy != banger.EndedByVMLost || !strings.Contains(x.LastError, "no record") {
			t.Errorf("of which the disk has nothing: %+v", x.SessionState)
		}
		if x := r.named(t, "garbage"); x.EndedBy != banger.EndedByVMLost || !strings.Contains(x.LastError, "state.json") || x.StdoutBytes != 4 {
			t.Errorf("with garbage: %+v", x.SessionState)
		}
		if x := r.named(t, "other"); x.EndedBy != banger.EndedByVMLost || x.ExitCode != nil || !strings.Contains(x.LastError, string(exited.ID)) {
			t.Errorf("with the state of another: %+v", x.SessionState)
		}
		if x := r.named(t, "before"); x.Revision != before.Revision {
			t.Errorf("that had ended before: %+v", x.SessionState)
		}
		if _, err := r.store.Sessions.GetSession(t.Context(), banger.SessionKey{VM: r.vm.ID, Session: stranger}); banger.CodeOf(err) != banger.CodeNotFound {
			t.Errorf("a stranger's directory: %v", err)
		}
		r.end(t, d.end(lost)) // as after a crash in between
		count := r.changes(t, since)
		for _, x := range []banger.Session{exited, running, begun, nothing, garbage, other} {
			if count[x.Name] != 1 {
				t.Errorf("session %s has %d changes", x.Name, count[x.Name])
			}
		}
		if len(count) != 6 {
			t.Errorf("changes: %v", count)
		}
	})
}

// A guest that boots finds a session that nobody owns and records its end.
func TestMachineEnded_WhatWasReadStaysAfterTheNextBoot(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		x := r.known(t, "s", banger.StatusRunning)
		d.put(t, x.ID, "out", at, banger.SessionState{Status: banger.StatusRunning, Sequence: 2})
		r.end(t, d.end(at))
		before := r.named(t, "s")
		time.Sleep(time.Minute)
		boot := report(x.ID, 3, banger.StatusFailed)
		boot.EndedBy = banger.EndedByVMLost
		r.guest.sessions = []guestapi.GuestSession{boot}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Fatal(err)
		}
		if after := r.named(t, "s"); after.Revision != before.Revision {
			t.Errorf("%+v became %+v", before.SessionState, after.SessionState)
		}
	})
}

// What outlived a session's command has not outlived its machine.
func TestMachineEnded_NobodySurvivesIt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		state := ended(4, at)
		state.Survivors = &banger.Survivors{Count: 1, Processes: []banger.Process{{PID: 7, Command: "sleep"}}}
		told, untold := r.known(t, "told", banger.StatusRunning), r.known(t, "untold", banger.StatusRunning)
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestChanged(t.Context(), guestapi.GuestSession{ID: told.ID, SessionState: state}); err != nil {
			t.Fatal(err)
		}
		if x := r.named(t, "told"); x.Survivors == nil {
			t.Fatalf("%+v", x.SessionState)
		}
		d.put(t, told.ID, "out\n", at, state)
		d.put(t, untold.ID, "out\n", at, state)
		r.end(t, d.end(at))
		for _, x := range []banger.Session{r.named(t, "told"), r.named(t, "untold")} {
			if x.Survivors != nil || x.ExitCode == nil || *x.ExitCode != 4 {
				t.Errorf("%s: %+v", x.Name, x.SessionState)
			}
		}
	})
}

func TestMachineEnded_UnseenIsTheEndAtTheLastSignOfLife(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		runs := banger.SessionState{Status: banger.StatusRunning, Sequence: 2}
		written, touched, future := r.known(t, "written", banger.StatusRunning), r.known(t, "touched", banger.StatusRunning), r.known(t, "future", banger.StatusRunning)
		d.put(t, written.ID, "out", at.Add(20*time.Minute), runs)
		d.touch(t, written.ID, at)
		d.put(t, touched.ID, "out", at, runs)
		d.touch(t, touched.ID, at.Add(30*time.Minute))
		d.put(t, future.ID, "out", at.Add(1000*time.Hour), runs)
		ahead := r.known(t, "ahead", banger.StatusRunning) // its guest's clock is, by less than it is set for
		d.put(t, ahead.ID, "out", at.Add(time.Hour+900*time.Millisecond), runs)
		time.Sleep(time.Hour)
		r.end(t, d.end(time.Time{}))
		for name, want := range map[string]time.Time{
			"written": at.Add(20 * time.Minute), "touched": at.Add(30 * time.Minute), "future": future.UpdatedAt,
			"ahead": at.Add(time.Hour + 900*time.Millisecond),
		} {
			if x := r.named(t, name); x.EndedBy != banger.EndedByVMLost || !x.EndedAt.Equal(want) || !strings.Contains(x.LastError, "last sign of life") {
				t.Errorf("%s has ended at %v, want %v: %+v", name, x.EndedAt, want, x.SessionState)
			}
		}
	})
}

func TestMachineEnded_EndOfWhatCannotBeReadIsPresumedAndCorrectedByTheGuest(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		x, at := r.known(t, "s", banger.StatusRunning), time.Now().UTC()
		r.end(t, unreadable(at))
		if x := r.named(t, "s"); !records.Presumed(x.SessionState) || !x.EndedAt.Equal(at) || !strings.Contains(x.LastError, "on fire") {
			t.Errorf("%+v", x.SessionState)
		}
		boot := report(x.ID, 3, banger.StatusExited)
		r.guest.sessions = []guestapi.GuestSession{boot}
		if err := r.Reconciler.Guest(r.vm.ID, r.vm.Epoch).GuestUp(t.Context(), guestapi.GuestHello{BootID: "boot"}, r.guest); err != nil {
			t.Fatal(err)
		}
		if x := r.named(t, "s"); x.Status != banger.StatusExited || x.LastError != "" {
			t.Errorf("after the next boot: %+v", x.SessionState)
		}
		r.known(t, "unseen", banger.StatusStarting)
		r.end(t, unreadable(time.Time{}))
		if x := r.named(t, "unseen"); !records.Presumed(x.SessionState) || !strings.Contains(x.LastError, "on fire") || !strings.Contains(x.LastError, "last sign") {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestMachineEnded_LaunchInHandHasWhatIsOnTheDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		launched := make(chan banger.SessionID, 1)
		r.guest.launch = func(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
			launched <- l.ID
			<-ctx.Done() // the answer never comes
			return guestapi.GuestSession{}, context.Cause(ctx)
		}
		started := r.begin(t, "")
		d.put(t, <-launched, "out\n", at, ended(4, at))
		r.end(t, d.end(at))
		if x := <-started; x.ExitCode == nil || *x.ExitCode != 4 || x.EndedBy != banger.EndedByExit {
			t.Errorf("%+v", x.SessionState)
		}
	})
}

func TestMachineEnd_IsOneTransactionAndAnEventForEachSession(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		d, at := disk(t.TempDir()), time.Now().UTC()
		const sessions = 100
		for i := range sessions {
			x := r.known(t, fmt.Sprint(i), banger.StatusRunning)
			switch i % 10 {
			case 0:
				d.put(t, x.ID, "out", at, banger.SessionState{Status: banger.StatusExited, EndedBy: banger.EndedByExit, StartedAt: at, EndedAt: at, Sequence: 5})
			case 1: // one that has left processes
				if _, err := r.store.Sessions.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error {
					x.Status, x.EndedAt, x.Survivors = banger.StatusExited, at, &banger.Survivors{Count: 1}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
		}
		since, err := r.store.Events.Revision(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		watched := make(chan error, 1)
		go func() {
			told := 0
			watched <- r.store.Events.WatchEvents(t.Context(), since, func(e banger.Event) error {
				if told++; told == sessions {
					return errEnoughEvents
				}
				return nil
			})
		}()
		r.writes.Store(0)
		r.end(t, d.end(at))
		if n := r.writes.Load(); n != 1 {
			t.Errorf("the end of a machine with %d sessions is %d transactions", sessions, n)
		}
		if err := <-watched; !errors.Is(err, errEnoughEvents) {
			t.Errorf("who watched all events got %v", err)
		}
		for name, n := range r.changes(t, since) {
			if n != 1 {
				t.Errorf("session %s has %d events", name, n)
			}
		}
		for i, by := range []banger.EndedBy{banger.EndedByExit, "", banger.EndedByVMLost} {
			if x := r.named(t, fmt.Sprint(i)); !x.Status.Ended() || x.EndedBy != by || x.Survivors != nil {
				t.Errorf("session %d: %+v", i, x.SessionState)
			}
		}
	})
}

var errEnoughEvents = errors.New("enough")
