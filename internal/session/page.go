package session

import (
	"context"
	"io/fs"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/sessiondir"
)

// Disks gives what is on the disks of VMs that do not run; internal/machine.DiskReader
// does.
type Disks interface {
	// ReadSessions calls f with the directory of a VM's session directories. A VM that
	// runs is CodeState.
	ReadSessions(ctx context.Context, id banger.VMID, f func(context.Context, fs.FS) error) error
}

// pages reads logs, a page at a time.
type pages struct {
	reach  *reach
	disks  Disks
	epochs *epochs
}

// read reads a page of a log where it is: in the guest of a VM that runs, else
// on its disk. Who is patient waits for a remote host that does not answer, too. The page is
// of the epoch that the VM is in, where its cursor must be valid.
func (p *pages) read(ctx context.Context, x banger.Session, r guestapi.GuestLogRead, patient bool) (page guestapi.GuestLogPage, err error) {
	reach := p.reach.withGuest
	if patient {
		reach = p.reach.awaitGuest
	}
	const maxMoves = 5 // the VM may be stopped and started in between
	for range maxMoves {
		err = reach(ctx, x.VMID, func(g guestapi.Guest) (err error) {
			page, err = p.inEpoch(ctx, x, r, func(r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) { return g.ReadLog(ctx, r) })
			return err
		})
		if banger.CodeOf(err) != banger.CodeState {
			return page, err
		}
		err = p.disks.ReadSessions(ctx, x.VMID, func(ctx context.Context, sessions fs.FS) (err error) {
			page, err = p.inEpoch(ctx, x, r, func(r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) { return pageOf(ctx, sessions, x, r) })
			return err
		})
		if banger.CodeOf(err) != banger.CodeState {
			return page, err
		}
	}
	return page, err
}

// inEpoch reads a page of what has been reached, if its cursor is valid there.
func (p *pages) inEpoch(ctx context.Context, x banger.Session, r guestapi.GuestLogRead, read func(guestapi.GuestLogRead) (guestapi.GuestLogPage, error)) (guestapi.GuestLogPage, error) {
	var at banger.LogCursor
	if r.Tail == nil && r.Since == nil {
		at = r.Cursor
	}
	epoch, err := p.epochs.checkCursor(ctx, x, at)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	r.Cursor.Epoch = ""
	page, err := read(r)
	page.Begin.Epoch, page.Next.Epoch = epoch, epoch
	return page, err
}

// pageOf reads a page of a log that nobody writes any more.
func pageOf(ctx context.Context, sessions fs.FS, x banger.Session, r guestapi.GuestLogRead) (page guestapi.GuestLogPage, err error) {
	dir, err := fs.Sub(sessions, string(x.ID))
	if err != nil {
		return page, err
	}
	if _, err := fs.Stat(dir, sessiondir.SpecName); err != nil {
		return page, banger.Errorf(banger.CodeNotFound, "cannot read log of session %q: it is not on the disk of its VM: %w", x.Name, err)
	}
	page, err = sessiondir.NewReader(dir).GuestPage(ctx, r)
	page.Ended = page.AtEnd
	return page, err
}
