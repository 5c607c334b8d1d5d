package session_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/session"
	"banger/internal/store"
	"banger/internal/vmm"
)

// stub is a guest of functions, for what a real one does only under bad luck. A
// function that is nil is not expected to be called.
type stub struct {
	launch  func(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error)
	abandon func(ctx context.Context, id banger.SessionID) (guestapi.GuestSession, error)
	stop    func(ctx context.Context, id banger.SessionID) error
	attach  func(ctx context.Context) (net.Conn, error)
	signal  func(s guestapi.GuestSignal) error
	inspect func() (guestapi.GuestSession, error)
	// sessions are on its disk.
	sessions []guestapi.GuestSession
	readLog  func(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) // nil: there is nothing
}

func (s *stub) Launch(ctx context.Context, l guestapi.GuestLaunch) (guestapi.GuestSession, error) {
	return s.launch(ctx, l)
}

func (s *stub) Abandon(ctx context.Context, id banger.SessionID) (guestapi.GuestSession, error) {
	return s.abandon(ctx, id)
}

func (s *stub) Stop(ctx context.Context, id banger.SessionID, _ banger.StopRequest) error {
	return s.stop(ctx, id)
}

func (s *stub) Signal(_ context.Context, _ banger.SessionID, signal guestapi.GuestSignal) error {
	return s.signal(signal)
}

func (s *stub) Inspect(context.Context, banger.SessionID) (guestapi.GuestSession, error) {
	return s.inspect()
}

func (s *stub) Attach(ctx context.Context, _ banger.SessionID, _ string) (net.Conn, error) {
	return s.attach(ctx)
}

func (s *stub) Copy(ctx context.Context) (net.Conn, error) {
	return nil, context.Cause(ctx)
}

func (s *stub) Spec(context.Context, banger.SessionID) (guestapi.GuestLaunch, error) {
	return guestapi.GuestLaunch{}, banger.Errorf(banger.CodeNotFound, "no such session")
}

func (s *stub) ReadLog(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	if s.readLog != nil {
		return s.readLog(ctx, r)
	}
	return guestapi.GuestLogPage{AtEnd: true, Ended: true}, nil
}

func (s *stub) Sessions(_ context.Context, ids []banger.SessionID) iter.Seq2[[]guestapi.GuestSession, error] {
	return func(yield func([]guestapi.GuestSession, error) bool) {
		for page := range slices.Chunk(s.sessions, 7) {
			page = slices.DeleteFunc(slices.Clone(page), func(x guestapi.GuestSession) bool { return len(ids) > 0 && !slices.Contains(ids, x.ID) })
			if !yield(page, nil) {
				return
			}
		}
	}
}

func (s *stub) Remove(context.Context, banger.SessionID) error { return nil }

// rig is a session service over a real store, within one synctest bubble, with
// one running VM.
type rig struct {
	*session.Sessions
	*session.Streams
	*session.Control
	*session.Attachments
	*session.Reconciler
	services *session.Services
	store    *store.Store
	writes   atomic.Int64 // transactions of sessions that the services have asked for
	vm       banger.VM
	guest    *stub

	mu   sync.Mutex // guards find
	find func(ctx context.Context) (guestapi.Guest, error)
}

// counted are records of sessions that count their changes.
type counted struct {
	*store.Sessions
	writes *atomic.Int64
}

func (c counted) UpdateSession(ctx context.Context, key banger.SessionKey, change func(*banger.Session) error) (banger.Session, error) {
	c.writes.Add(1)
	return c.Sessions.UpdateSession(ctx, key, change)
}

func (c counted) UpdateSessions(ctx context.Context, vm banger.VMID, ids []banger.SessionID, change func(*banger.Session) error) error {
	c.writes.Add(1)
	return c.Sessions.UpdateSessions(ctx, vm, ids, change)
}

// Refused implements session.Guests.
func (r *rig) Refused(banger.VMID) error { return nil }

// Guest implements session.Guests.
func (r *rig) Guest(ctx context.Context, _ banger.VMID) (guestapi.Guest, error) {
	r.mu.Lock()
	find := r.find
	r.mu.Unlock()
	return find(ctx)
}

// reach sets how the guest is found from now on.
func (r *rig) reach(find func(ctx context.Context) (guestapi.Guest, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.find = find
}

// inBubble runs a test with a rig.
func inBubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		records, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "db"))
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{store: records, guest: &stub{}}
		r.find = func(context.Context) (guestapi.Guest, error) { return r.guest, nil }
		r.open(t, session.Config{})
		defer func() {
			if err := r.services.Close(); err != nil {
				t.Error(err)
			}
			if err := records.Close(); err != nil {
				t.Error(err)
			}
		}()
		if _, err := records.Images.PutImage(t.Context(), banger.Image{ID: "i", Name: "i"}); err != nil {
			t.Fatal(err)
		}
		r.vm, err = records.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: vmName, ImageID: "i", State: banger.VMRunning})
		if err != nil {
			t.Fatal(err)
		}
		test(t, r)
	})
}

// open makes the services. Other fields of c than those for which the rig has something
// are taken as they are.
func (r *rig) open(t *testing.T, c session.Config) {
	c.Store, c.VMs, c.Guests, c.Log = counted{r.store.Sessions, &r.writes}, r.store.VMs, r, slog.New(slog.NewTextHandler(t.Output(), nil))
	r.services = session.New(t.Context(), c)
	r.Sessions, r.Control, r.Reconciler = r.services.Sessions, r.services.Control, r.services.Reconciler
	r.Streams, r.Attachments = session.NewOutput(r.services, nil)
}

// retain makes the services again, for a retention by the ages on a clock.
func (r *rig) retain(t *testing.T, policy banger.Retention, clock session.Clock) {
	t.Helper()
	if err := r.services.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t, session.Config{Retention: policy, Clock: clock})
	r.services.Retain()
}

// begin starts a session s in the background.
func (r *rig) begin(t *testing.T, key string) <-chan banger.Session {
	t.Helper()
	started := make(chan banger.Session, 1)
	go func() {
		request := shell("s", "true")
		request.IdempotencyKey = key
		x, err := r.StartSession(t.Context(), vmName, request)
		if err != nil {
			t.Error(err)
		}
		started <- x
	}()
	return started
}

func (r *rig) get(t *testing.T) banger.Session {
	t.Helper()
	x, err := r.GetSession(t.Context(), vmName, "s")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// report is what a guest says of a session.
func report(id banger.SessionID, sequence int64, status banger.Status) guestapi.GuestSession {
	g := guestapi.GuestSession{ID: id}
	g.Status, g.Sequence = status, sequence
	if status.Ended() {
		g.EndedBy, g.EndedAt = banger.EndedByExit, time.Now().UTC()
	} else {
		g.StartedAt = time.Now().UTC()
	}
	return g
}

func unavailable(why string) error { return banger.Errorf(banger.CodeUnavailable, "%s", why) }

// unreadable is how a machine ended whose disk cannot be read.
func unreadable(at time.Time) vmm.MachineEnd {
	return vmm.MachineEnd{By: banger.EndedByVMLost, At: at, Disk: func(context.Context, func(context.Context, fs.FS) error) error {
		return errors.New("the disk is on fire")
	}}
}

func (r *rig) end(t *testing.T, end vmm.MachineEnd) {
	t.Helper()
	if err := r.MachineEnded(t.Context(), r.vm.ID, end); err != nil {
		t.Error(err)
	}
}
