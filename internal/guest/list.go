package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
)

// Sessions implements guestapi.Guest. A report that no agent of ours makes is left out.
func (c *control) Sessions(ctx context.Context, ids []banger.SessionID) iter.Seq2[[]guestapi.GuestSession, error] {
	ids = slices.Sorted(slices.Values(ids))
	c.changes.expect(ids...) // before they are asked about: no change falls between
	return func(yield func([]guestapi.GuestSession, error) bool) {
		if len(ids) == 0 {
			c.listPages(ctx, nil, yield)
			return
		}
		for some := range slices.Chunk(ids, guestapi.MaxGuestPage) {
			if !c.listPages(ctx, some, yield) {
				return
			}
		}
	}
}

// listPages yields the pages of one list and reports whether all were taken.
func (c *control) listPages(ctx context.Context, ids []banger.SessionID, yield func([]guestapi.GuestSession, error) bool) bool {
	asked := guestrpc.ListParams{Limit: guestapi.MaxGuestPage, IDs: ids}
	for total := 0; ; {
		page, next, err := c.listPage(ctx, asked)
		if total += len(page); err == nil && total > guestbudget.ListSessions {
			err = misunderstood("list of sessions", "it has more than %d", guestbudget.ListSessions)
		}
		if err != nil {
			yield(nil, fmt.Errorf("cannot list the guest's sessions: %w", err))
			return false
		}
		if !yield(page, nil) {
			return false
		}
		if asked.After = next; next == "" {
			return true
		}
	}
}

// listPage asks for one page. It may take as long as the guest takes to read the
// sessions from its disk.
func (c *control) listPage(ctx context.Context, asked guestrpc.ListParams) (reports []guestapi.GuestSession, next banger.SessionID, err error) {
	const what = "list of sessions"
	data, err := c.ask(ctx, guestrpc.MethodList, asked)
	if err != nil {
		return nil, "", err
	}
	defer c.turn.take(len(data))()
	var page guestrpc.ListPage
	if err := json.Unmarshal(data, &page); err != nil {
		return nil, "", misunderstood(what, "%w", err)
	}
	if len(page.Sessions) > asked.Limit || page.Next != "" && (page.Next <= asked.After || !banger.ValidID(string(page.Next))) {
		return nil, "", misunderstood(what, "a page has %d sessions and ends at %.40q", len(page.Sessions), string(page.Next))
	}
	last := asked.After
	for _, one := range page.Sessions {
		s, err := parseReport(one)
		if err != nil {
			continue
		}
		if _, wanted := slices.BinarySearch(asked.IDs, s.ID); s.ID <= last || page.Next != "" && s.ID > page.Next || len(asked.IDs) > 0 && !wanted {
			return nil, "", misunderstood(what, "session %s is not where it belongs", s.ID)
		}
		last = s.ID
		reports = append(reports, s)
	}
	return reports, page.Next, nil
}
