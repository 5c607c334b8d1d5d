package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/guestapi"
)

// remover removes sessions that have ended, with all that they have left.
type remover struct {
	store Store
	reach *reach
}

// remove removes a session that has ended. The guest forgets first: a record without a
// directory tells that it is gone, a directory without a record would be found by
// nobody.
func (r *remover) remove(ctx context.Context, x banger.Session) error {
	err := r.reach.withGuest(ctx, x.VMID, func(g guestapi.Guest) error { return g.Remove(ctx, x.ID) })
	if err != nil {
		return err
	}
	return r.store.DeleteSession(ctx, x.Key())
}

// removePatience is how long a guest may take to be reached and to remove a session.
const removePatience = 30 * time.Second

// removeExpired removes sessions of one VM, in a dry run none, and returns for each why
// it is left. A guest that cannot be reached is not asked for the next one.
func (r *remover) removeExpired(ctx context.Context, vm banger.VMID, gone []expired, dryRun bool) []error {
	if len(gone) == 0 {
		return nil
	}
	errs := make([]error, len(gone))
	unreachable := patiently(ctx, func(ctx context.Context) error {
		_, err := r.reach.guests.Guest(ctx, vm)
		return err
	})
	for i, x := range gone {
		if errs[i] = unreachable; unreachable != nil || dryRun {
			continue
		}
		errs[i] = patiently(ctx, func(ctx context.Context) error { return r.remove(ctx, x.Session) })
		switch banger.CodeOf(errs[i]) {
		case banger.CodeNotFound:
			errs[i] = nil // somebody else has removed it
		case banger.CodeUnavailable:
			unreachable = errs[i]
		}
	}
	return errs
}

// patiently calls what asks a guest, for no longer than removePatience.
func patiently(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, removePatience, impatience(removePatience))
	defer cancel()
	return f(ctx)
}
