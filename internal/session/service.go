// Package session holds the rules about sessions: it starts them in guests,
// follows what becomes of them, feeds and ends them, and reads their logs. What
// a session is in the guest is the business of internal/agent.
package session

import (
	"context"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/keylock"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// Guests gives the running guests; internal/guest.Links does.
type Guests interface {
	// Guest waits until the link to the guest of a running VM is up.
	Guest(ctx context.Context, id banger.VMID) (guestapi.Guest, error)
	// Refused returns why a remote host has refused the login, unless that is tried again
	// by itself; nil if it has not.
	Refused(id banger.VMID) error
}

// Service implements banger.SessionService, SessionStreams and SessionControl.
type Service struct {
	store  *stampedStore
	guests Guests
	disks  Disks
	log    *slog.Logger

	// Launches continue when the client that asked for them has gone, until Close.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	stdin keylock.Locks[banger.SessionID] // each is held by who sends to the session
	// senderID is that of all attachments that send: they take turns, and the next
	// need not wait for the lease of one whose link broke at its end.
	senderID string

	seats seats // who serves which attachment

	keeper *keeper // nil: nothing is removed without a request

	mu       sync.Mutex                   // guards the fields below
	launches map[banger.SessionID]*launch // that this process has in hand
	boots    map[banger.VMID]string       // ids; see follower.GuestUp
	paces    map[banger.VMID]*pace        // of guests that have reported something
}

// New returns a service. Its launches end with Close, which comes before the end of
// guests and disks, whatever becomes of ctx.
func New(ctx context.Context, store Store, guests Guests, disks Disks, log *slog.Logger) *Service {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &Service{
		store: &stampedStore{store, wallClock{}}, guests: guests, disks: disks, log: log, ctx: ctx, cancel: cancel,
		senderID: string(banger.NewSessionID()), launches: map[banger.SessionID]*launch{}, boots: map[banger.VMID]string{},
		paces: map[banger.VMID]*pace{},
	}
}

// Close gives up the launches in hand, and waits for them; the next daemon settles them.
// It ends attachments, too, for which whoever serves their connections waits.
func (s *Service) Close() error {
	s.cancel()
	s.work.Wait()
	return nil
}

// GetSession implements banger.SessionService.
func (s *Service) GetSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	vm, err := s.vm(ctx, vmRef)
	if err != nil {
		return banger.Session{}, err
	}
	x, err := s.store.ResolveSession(ctx, vm.ID, ref)
	if !vm.SessionsUnknown || banger.CodeOf(err) != banger.CodeNotFound {
		return x, err
	}
	if err := s.awaitKnown(ctx, vm, fmt.Sprintf("find session %q", ref)); err != nil {
		return x, err
	}
	return s.store.ResolveSession(ctx, vm.ID, ref)
}

// InspectSession implements banger.SessionService.
func (s *Service) InspectSession(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err != nil || x.Status.Ended() || x.Status == banger.StatusStarting {
		return x, err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	_ = s.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { // the record is an answer, too
		now, err := g.Inspect(ctx, x.ID)
		if err == nil && records.CheckTransition(x.SessionState, now.SessionState) == nil {
			x.SessionState = now.SessionState
		}
		return err
	})
	return x, nil
}

// inspectTimeout is how long the counters of a session are waited for.
const inspectTimeout = 2 * time.Second

// RemoveSession implements banger.SessionService.
func (s *Service) RemoveSession(ctx context.Context, vmRef, ref string, force bool) error {
	x, err := s.GetSession(ctx, vmRef, ref)
	if err != nil {
		return err
	}
	if !x.Status.Ended() {
		if !force {
			return banger.Errorf(banger.CodeState, "cannot remove session %q: it is %s", x.Name, x.Status).
				WithHint("end it first with session stop or kill, or remove it with --force")
		}
		if _, err := s.end(ctx, x, banger.StopRequest{Kill: true}); err != nil {
			return err
		}
	}
	return s.remove(ctx, x)
}

// remove removes a session that has ended. The guest forgets first: a record without a
// directory tells that it is gone, a directory without a record would be found by
// nobody.
func (s *Service) remove(ctx context.Context, x banger.Session) error {
	err := s.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { return g.Remove(ctx, x.ID) })
	if err != nil {
		return err
	}
	return s.store.DeleteSession(ctx, x.ID)
}

func (s *Service) vm(ctx context.Context, ref string) (banger.VM, error) {
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return banger.VM{}, err
	}
	return records.Resolve("vm", ref, vms)
}

// newSession is the record of a session that is about to be launched.
func newSession(vm banger.VMID, r banger.SessionRequest) banger.Session {
	return recordOf(banger.NewSessionID(), vm, r)
}

// recordOf is the record of a session before its guest has said anything of it.
func recordOf(id banger.SessionID, vm banger.VMID, r banger.SessionRequest) banger.Session {
	x := banger.Session{
		ID: id, VMID: vm, Name: r.Name, Launch: r.Launch, SecretEnv: r.SecretEnv.Names(), Tags: r.Tags,
		SessionState:  banger.SessionState{Status: banger.StatusStarting},
		Backend:       "ssh",
		AttachBackend: "shim",
		AttachMode:    "pipe",
		Attachable:    true,
		Reattachable:  true,
	}
	if r.TTY {
		x.AttachMode = "tty"
	}
	if x.Name == "" {
		x.Name = defaultName(r.Command, id)
	}
	return x
}

// setGuestDir records where a session lies in its guest, which only that can say.
func setGuestDir(x *banger.Session, dir string) {
	x.GuestStateDir = dir
	x.StdoutLogPath, x.StderrLogPath = path.Join(dir, sessiondir.StdoutName), path.Join(dir, sessiondir.StderrName)
	if x.TTY {
		x.StderrLogPath = ""
	}
}

// defaultName is the command's base name and the beginning of the id.
func defaultName(command banger.ByteString, id banger.SessionID) string {
	const idBytes = 6
	base := strings.ToValidUTF8(path.Base(string(command)), "_")
	if room := banger.MaxNameBytes - idBytes - 1; len(base) > room {
		base = strings.ToValidUTF8(base[:room], "")
	}
	return base + "-" + string(id[:idBytes])
}
