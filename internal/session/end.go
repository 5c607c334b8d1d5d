package session

import (
	"context"

	"banger"
	"banger/internal/guestapi"
)

// Control implements banger.SessionControl.
type Control struct {
	finder   *finder
	reach    *reach
	launcher *launcher
	recorder *recorder
}

// StopSession implements banger.SessionControl.
func (c *Control) StopSession(ctx context.Context, vmRef, ref string, r banger.StopRequest) (banger.Session, error) {
	if err := r.Validate(); err != nil {
		return banger.Session{}, err
	}
	x, err := c.finder.session(ctx, vmRef, ref)
	if err != nil {
		return x, err
	}
	return c.end(ctx, x, r.WithDefaults())
}

// end has a session stopped in the guest and waits for its end. One that has
// ended is left as it is, unless it is killed and has left processes alive.
func (c *Control) end(ctx context.Context, x banger.Session, r banger.StopRequest) (banger.Session, error) {
	x, err := c.launcher.settled(ctx, x)
	if err != nil || x.Status.Ended() && (!r.Kill || x.Survivors == nil) {
		return x, err
	}
	err = c.reach.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { return g.Stop(ctx, x.ID, r) })
	if banger.CodeOf(err) == banger.CodeNotFound {
		err = c.recorder.recordMissing(ctx, branchOf(x), x.ID)
	}
	if err != nil {
		return x, err
	}
	return waitFor(ctx, c.finder.store, x.Key(), func(x banger.Session) bool { return x.Status.Ended() })
}
