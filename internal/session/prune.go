package session

import (
	"context"
	"time"

	"banger"
	"banger/internal/records"
)

// removePatience is how long a guest may take to be reached and to remove a session.
const removePatience = 30 * time.Second

// PruneSessions implements banger.SessionService.
func (s *Service) PruneSessions(ctx context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
	result := banger.PruneResult{Removed: []banger.PrunedSession{}, Left: []banger.PrunedSession{}}
	if r.Retention.IsZero() {
		return result, banger.Errorf(banger.CodeInvalid, "cannot prune sessions: no criterion").
			WithHint("specify at least one of older_than, keep and max_bytes")
	}
	if err := r.Retention.Validate(); err != nil {
		return result, err
	}
	var refs []string
	if r.VM != "" {
		refs = []string{r.VM}
	}
	places, err := s.selectSessions(ctx, refs, banger.SessionFilter{Tags: r.Tags})
	if err != nil {
		return result, err
	}
	for _, place := range places {
		gone, _ := expire(place.sessions, r.Retention, s.store.clock.Now())
		errs := s.removeExpired(ctx, place.vm.ID, gone, r.DryRun)
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		for i, x := range gone {
			p := banger.PrunedSession{SessionPlace: place.of(x.Session), EndedAt: endTime(x.Session), Bytes: records.KeptBytes(x.Session), Reason: x.reason}
			if errs[i] == nil {
				result.Removed = append(result.Removed, p)
				continue
			}
			p.Error = banger.Errorf(banger.CodeOf(errs[i]), "cannot remove session %q of VM %s: %w", x.Name, place.vm.Name, errs[i])
			result.Left = append(result.Left, p)
		}
	}
	return result, nil
}

// removeExpired removes sessions of one VM, in a dry run none, and returns for each why
// it is left. A guest that cannot be reached is not asked for the next one.
func (s *Service) removeExpired(ctx context.Context, vm banger.VMID, gone []expired, dryRun bool) []error {
	if len(gone) == 0 {
		return nil
	}
	errs := make([]error, len(gone))
	unreachable := patiently(ctx, func(ctx context.Context) error {
		_, err := s.guests.Guest(ctx, vm)
		return err
	})
	for i, x := range gone {
		if errs[i] = unreachable; unreachable != nil || dryRun {
			continue
		}
		errs[i] = patiently(ctx, func(ctx context.Context) error { return s.remove(ctx, x.Session) })
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
