package session

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/records"
	"banger/internal/sessiondir"
	"banger/internal/vmm"
)

// Bounds of what is taken in of one VM: what is there was written by a guest.
const (
	maxFound      = 50_000    // sessions
	maxFoundBytes = 256 << 20 // of what they were launched with
)

// Sessions that are stored in one transaction: at most this number, or this number of bytes.
const (
	foundAtOnce  = changesAtOnce
	foundAtBytes = 4 << 20
)

// TakeIn records those sessions of a VM that its guest has and that have no record: the
// store was lost, or is older than they are. If the guest is shared, those that another
// installation has started are left out.
func (r *Reconciler) TakeIn(ctx context.Context, vm banger.VMID, g guestapi.Guest, shared bool) error {
	unknown, err := r.unknown(ctx, vm, g)
	if err != nil {
		return err
	}
	t := r.taker(vm)
	for ids := range slices.Chunk(unknown, reportsAtOnce) {
		var reports []guestapi.GuestSession
		for page, err := range g.Sessions(ctx, ids) {
			if err != nil {
				return err
			}
			reports = append(reports, page...)
		}
		slices.SortStableFunc(reports, byStart)
		for _, report := range reports {
			if err := t.addReported(ctx, vm, g, report, shared); err != nil {
				return err
			}
		}
	}
	return t.flush(ctx)
}

// reportsAtOnce is how many reports are held until what they were launched with is known.
const reportsAtOnce = 8

func byStart(a, b guestapi.GuestSession) int { return a.StartedAt.Compare(b.StartedAt) }

// addReported stores a session of which a guest reports the state.
func (t *taker) addReported(ctx context.Context, vm banger.VMID, g guestapi.Guest, r guestapi.GuestSession, shared bool) error {
	spec, err := g.Spec(ctx, r.ID)
	if banger.CodeOf(err) == banger.CodeUnavailable || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	if shared && spec.VMID != "" && spec.VMID != vm {
		return nil // another installation uses the host, too
	}
	return t.add(ctx, reportedSession(vm, r, spec, err))
}

// unknown returns the sessions of a guest that have no record, oldest first.
func (r *Reconciler) unknown(ctx context.Context, vm banger.VMID, g guestapi.Guest) ([]banger.SessionID, error) {
	known, err := r.knownIDs(ctx, vm)
	if err != nil {
		return nil, err
	}
	started := map[banger.SessionID]time.Time{}
	for page, err := range g.Sessions(ctx, nil) {
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			if !known[x.ID] && len(started) < maxFound {
				started[x.ID] = x.StartedAt
			}
		}
	}
	return oldestFirst(started), nil
}

// oldestFirst returns sessions in the order of their starts.
func oldestFirst(started map[banger.SessionID]time.Time) []banger.SessionID {
	ids := slices.Sorted(maps.Keys(started))
	slices.SortStableFunc(ids, func(a, b banger.SessionID) int { return started[a].Compare(started[b]) })
	return ids
}

// reportedSession makes the record of a session of which a guest reports the state.
func reportedSession(vm banger.VMID, r guestapi.GuestSession, spec guestapi.GuestLaunch, unread error) records.FoundSession {
	x := foundSession(vm, r.ID, spec, unread)
	note := x.LastError
	x.SessionState = r.SessionState
	records.NoteError(&x.SessionState, note)
	if r.GuestStateDir != "" {
		setGuestDir(&x.Session, r.GuestStateDir)
	}
	if r.Status.Ended() {
		x.EndedAt = endOf(r.SessionState, r.EndedAt)
	}
	return x
}

func (r *Reconciler) knownIDs(ctx context.Context, vm banger.VMID) (map[banger.SessionID]bool, error) {
	sessions, err := r.store.ListSessions(ctx, vm)
	known := make(map[banger.SessionID]bool, len(sessions))
	for _, x := range sessions {
		known[x.ID] = true
	}
	return known, err
}

// TakeInFromDisk is TakeIn for a VM whose machine has ended. Those whose end is not
// on the disk have ended as end says.
func (r *Reconciler) TakeInFromDisk(ctx context.Context, vm banger.VMID, end vmm.MachineEnd) error {
	known, err := r.knownIDs(ctx, vm)
	if err != nil {
		return err
	}
	t := r.taker(vm)
	return end.Disk(ctx, func(ctx context.Context, disk fs.FS) error {
		ids, err := sessionsOn(ctx, disk, known)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := t.add(ctx, readFound(disk, vm, id, end)); err != nil {
				return err
			}
		}
		return t.flush(ctx)
	})
}

// sessionsOn returns the sessions on a disk that are not known, oldest first.
func sessionsOn(ctx context.Context, disk fs.FS, known map[banger.SessionID]bool) ([]banger.SessionID, error) {
	entries, err := fs.ReadDir(disk, ".")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // none was ever started
	}
	if err != nil {
		return nil, err
	}
	started := map[banger.SessionID]time.Time{}
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		id := banger.SessionID(e.Name())
		if !e.IsDir() || !banger.ValidID(e.Name()) || known[id] {
			continue
		}
		dir, err := fs.Sub(disk, e.Name())
		if err != nil {
			continue
		}
		state, err := sessiondir.ReadState(dir)
		if err != nil && errors.Is(err, fs.ErrNotExist) {
			if _, err := sessiondir.ReadSpec(dir); errors.Is(err, fs.ErrNotExist) {
				continue // nothing is left of it
			}
		}
		started[id] = state.StartedAt
	}
	return oldestFirst(started), nil
}

// readFound makes the record of a session out of its directory on the disk of a
// machine that has ended. It trusts nothing that it reads.
func readFound(disk fs.FS, vm banger.VMID, id banger.SessionID, end vmm.MachineEnd) records.FoundSession {
	dir, err := fs.Sub(disk, string(id))
	var spec guestapi.GuestLaunch
	if err == nil {
		spec, err = sessiondir.ReadSpec(dir)
	}
	x := foundSession(vm, id, spec, err)
	r, note := readRemains(disk, id), x.LastError
	if r.unread == nil && r.state.Status.Ended() {
		r.takeEnd(&x.Session)
	} else {
		r.presumeEnd(&x.Session, end)
	}
	if r.unread == nil { // then the state is the disk's
		records.NoteError(&x.SessionState, note)
	}
	return x
}

// foundSession makes the record of a session, without its state, out of what it was
// launched with. If that cannot be read, the record has no command.
func foundSession(vm banger.VMID, id banger.SessionID, spec guestapi.GuestLaunch, unread error) records.FoundSession {
	r := banger.SessionRequest{Launch: spec.Launch, Name: spec.Name, Tags: spec.Tags, IdempotencyKey: spec.IdempotencyKey}
	if unread == nil && spec.ID != id {
		unread = banger.Errorf(banger.CodeCorrupt, "it is that of session %s", spec.ID)
	}
	if unread == nil {
		unread = r.Validate()
	}
	note := ""
	if unread != nil {
		const idBytes = 6
		spec.CreatedAt = time.Time{}
		r = banger.SessionRequest{Name: "found-" + string(id[:idBytes]), Launch: banger.Launch{StdinMode: banger.StdinClosed}}
		note = "its record was lost, and what it was launched with cannot be read: " + clipNote(unread.Error())
	}
	x := recordOf(id, vm, r)
	if x.CreatedAt = spec.CreatedAt; !banger.ValidTime(x.CreatedAt) {
		x.CreatedAt = time.Time{} // the store's
	}
	x.UpdatedAt, x.LastError = x.CreatedAt, note
	return records.FoundSession{Session: x, IdempotencyKey: r.IdempotencyKey}
}

// clipNote bounds the text of an error that a guest may have had a part in.
func clipNote(text string) string {
	const limit = 300
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}

// taker stores sessions that were found, many at once.
type taker struct {
	store        Store
	log          *slog.Logger
	vm           banger.VMID
	batch        []records.FoundSession
	batchBytes   int
	count, bytes int
}

func (r *Reconciler) taker(vm banger.VMID) *taker {
	return &taker{store: r.store, log: r.log, vm: vm}
}

// add stores a session, now or with the next ones.
func (t *taker) add(ctx context.Context, x records.FoundSession) error {
	size := launchBytes(x.Launch)
	if t.count == maxFound || t.bytes+size > maxFoundBytes {
		t.log.Error("sessions on the disk of a VM are left without a record: they are too many", "vm", t.vm, "taken", t.count)
		return nil
	}
	t.count, t.bytes = t.count+1, t.bytes+size
	t.batch, t.batchBytes = append(t.batch, x), t.batchBytes+size
	if len(t.batch) < foundAtOnce && t.batchBytes < foundAtBytes {
		return nil
	}
	return t.flush(ctx)
}

// flush stores what has been added.
func (t *taker) flush(ctx context.Context) error {
	if len(t.batch) == 0 {
		return nil
	}
	n, err := t.store.RestoreSessions(context.WithoutCancel(ctx), t.batch)
	if err != nil {
		return err
	}
	t.batch, t.batchBytes = nil, 0
	t.log.Info("sessions have a record again", "vm", t.vm, "count", n)
	return nil
}

// launchBytes is about what a launch has in a record.
func launchBytes(l banger.Launch) int {
	n := len(l.Command) + len(l.Cwd)
	for _, a := range l.Args {
		n += len(a) + 1
	}
	for key, value := range l.Env {
		n += len(key) + len(value) + 1
	}
	for _, c := range l.RequiredCommands {
		n += len(c) + 1
	}
	return n
}
