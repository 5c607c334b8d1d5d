package session

import (
	"context"

	"banger"
	"banger/internal/records"
)

// PruneSessions implements banger.SessionService.
func (s *Sessions) PruneSessions(ctx context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
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
	places, err := s.finder.selectSessions(ctx, refs, banger.SessionFilter{Tags: r.Tags})
	if err != nil {
		return result, err
	}
	for _, place := range places {
		gone, _ := expire(place.sessions, r.Retention, s.clock.Now())
		errs := s.remover.removeExpired(ctx, place.vm.ID, gone, r.DryRun)
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
