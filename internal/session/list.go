package session

import (
	"context"
	"slices"
	"strconv"

	"banger"
	"banger/internal/records"
)

// ListSessions implements banger.SessionService.
func (s *Sessions) ListSessions(ctx context.Context, f banger.SessionFilter) (all []banger.Session, err error) {
	for after := ""; ; {
		page, next, err := s.PageSessions(ctx, f, after, 0)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		after = next
	}
}

// SummarizeSessions implements banger.SessionService.
func (s *Sessions) SummarizeSessions(ctx context.Context, f banger.SessionFilter) (all []banger.SessionSummary, err error) {
	for after := ""; ; {
		page, next, err := s.PageSummaries(ctx, f, after, 0)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		after = next
	}
}

// PageSessions implements banger.SessionService.
func (s *Sessions) PageSessions(ctx context.Context, f banger.SessionFilter, after string, limit int) ([]banger.Session, string, error) {
	return s.page(ctx, f, after, limit, true)
}

// PageSummaries implements banger.SessionService.
func (s *Sessions) PageSummaries(ctx context.Context, f banger.SessionFilter, after string, limit int) ([]banger.SessionSummary, string, error) {
	page, next, err := s.page(ctx, f, after, limit, false)
	summaries := make([]banger.SessionSummary, len(page))
	for i, x := range page {
		summaries[i] = x.Summary()
	}
	return summaries, next, err
}

// page returns a part of a list. A place is the store's, in decimal.
func (s *Sessions) page(ctx context.Context, f banger.SessionFilter, after string, limit int, whole bool) ([]banger.Session, string, error) {
	r := records.SessionPageRequest{Match: f.Match, Limit: limit, Whole: whole}
	if limit == 0 {
		r.Limit = banger.MaxPageSessions
	}
	if r.Limit < 1 || r.Limit > banger.MaxPageSessions {
		return nil, "", banger.Errorf(banger.CodeInvalid, "cannot list sessions: a limit of %d does not lie between 1 and %d", limit, banger.MaxPageSessions)
	}
	var err error
	if after != "" {
		if r.After, err = strconv.ParseInt(after, 10, 64); err != nil || r.After < 1 {
			return nil, "", banger.Errorf(banger.CodeInvalid, "cannot list sessions: %.40q is not where a page ended", after).
				WithHint("pass the value of next from a previous answer")
		}
	}
	if err := checkStatus(f.Status); err != nil {
		return nil, "", err
	}
	if f.VM != "" {
		vm, err := s.finder.vm(ctx, f.VM)
		if err != nil {
			return nil, "", err
		}
		r.VM = vm.ID
	}
	page, next, err := s.finder.store.PageSessions(ctx, r)
	if err != nil || next == 0 {
		return page, "", err
	}
	return page, strconv.FormatInt(next, 10), nil
}

// checkStatus refuses a filter for what is not a status.
func checkStatus(status banger.Status) error {
	if status != "" && !slices.Contains(banger.Statuses(), status) {
		return banger.Errorf(banger.CodeInvalid, "cannot list sessions: %q is not a status; the statuses are %v", string(status), banger.Statuses())
	}
	return nil
}
