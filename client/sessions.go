package client

import (
	"context"

	"banger"
	"banger/api"
)

// StartSession implements banger.SessionService. With an idempotency key a
// request whose connection broke is sent again, since it then starts one session
// at most.
func (c *Client) StartSession(ctx context.Context, vm string, r banger.SessionRequest) (x banger.Session, err error) {
	q := api.VMBody[banger.SessionRequest]{VM: vm, Body: r}
	if r.IdempotencyKey == "" {
		return call(ctx, c, api.StartSession, q)
	}
	err = c.resume(ctx, func(func()) (err error) {
		x, err = call(ctx, c, api.StartSession, q)
		return err
	})
	return x, err
}

// ListSessions implements banger.SessionService. It reads page after page.
func (c *Client) ListSessions(ctx context.Context, f banger.SessionFilter) ([]banger.Session, error) {
	return allPages(func(after string) ([]banger.Session, string, error) { return c.PageSessions(ctx, f, after, 0) })
}

// SummarizeSessions implements banger.SessionService. It reads page after page.
func (c *Client) SummarizeSessions(ctx context.Context, f banger.SessionFilter) ([]banger.SessionSummary, error) {
	return allPages(func(after string) ([]banger.SessionSummary, string, error) { return c.PageSummaries(ctx, f, after, 0) })
}

// PageSessions implements banger.SessionService.
func (c *Client) PageSessions(ctx context.Context, f banger.SessionFilter, after string, limit int) ([]banger.Session, string, error) {
	list, err := call(ctx, c, api.ListSessions, api.SessionPage{SessionFilter: f, After: after, Limit: limit})
	return list.Sessions, list.Next, err
}

// PageSummaries implements banger.SessionService.
func (c *Client) PageSummaries(ctx context.Context, f banger.SessionFilter, after string, limit int) ([]banger.SessionSummary, string, error) {
	list, err := call(ctx, c, api.SummarizeSessions, api.SessionPage{SessionFilter: f, After: after, Limit: limit})
	return list.Sessions, list.Next, err
}

// allPages returns what all pages of a list have.
func allPages[R any](page func(after string) ([]R, string, error)) (all []R, err error) {
	for after := ""; ; {
		records, next, err := page(after)
		if err != nil {
			return nil, err
		}
		if after == "" {
			all = records
		} else {
			all = append(all, records...)
		}
		if after = next; after == "" {
			return all, nil
		}
	}
}

// GetSession implements banger.SessionService.
func (c *Client) GetSession(ctx context.Context, vm, session string) (banger.Session, error) {
	return call(ctx, c, api.GetSession, api.GetSessionRequest{VM: vm, Session: session})
}

// InspectSession implements banger.SessionService.
func (c *Client) InspectSession(ctx context.Context, vm, session string) (banger.Session, error) {
	return call(ctx, c, api.GetSession, api.GetSessionRequest{VM: vm, Session: session, Live: true})
}

// WaitSession implements banger.SessionService. It outlasts the daemon.
func (c *Client) WaitSession(ctx context.Context, vm, session string) (x banger.Session, err error) {
	err = c.resume(ctx, func(func()) (err error) {
		x, err = call(ctx, c, api.WaitSession, api.SessionQuery[api.Patience]{VM: vm, Session: session})
		return err
	})
	return x, err
}
