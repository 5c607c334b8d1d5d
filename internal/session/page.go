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
	reach *reach
	disks Disks
}

// read reads a page of a log where it is: in the guest of a VM that runs, else
// on its disk. Who is patient waits for a remote host that does not answer, too.
func (p *pages) read(ctx context.Context, x banger.Session, r guestapi.GuestLogRead, patient bool) (page guestapi.GuestLogPage, err error) {
	reach := p.reach.withGuest
	if patient {
		reach = p.reach.awaitGuest
	}
	const maxMoves = 5 // the VM may be stopped and started in between
	for range maxMoves {
		err = reach(ctx, x.VMID, func(g guestapi.Guest) (err error) {
			page, err = g.ReadLog(ctx, r)
			return err
		})
		if banger.CodeOf(err) != banger.CodeState {
			return page, err
		}
		err = p.disks.ReadSessions(ctx, x.VMID, func(ctx context.Context, sessions fs.FS) (err error) {
			page, err = pageOf(ctx, sessions, x, r)
			return err
		})
		if banger.CodeOf(err) != banger.CodeState {
			return page, err
		}
	}
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
