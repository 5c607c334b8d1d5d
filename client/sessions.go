package client

import (
	"context"
	"strconv"

	"banger"
	"banger/api"
)

const sessionPath = "/v1/vms/{vm}/sessions/{session}"

// StartSession implements banger.SessionService. With an idempotency key a
// request whose connection broke is sent again, since it then starts one session
// at most.
func (c *Client) StartSession(ctx context.Context, vm string, r banger.SessionRequest) (x banger.Session, err error) {
	q := post("/v1/vms/{vm}/sessions", vm)
	q.json = r
	if r.IdempotencyKey == "" {
		return call[banger.Session](ctx, c, q)
	}
	err = c.resume(ctx, func(func()) (err error) {
		x, err = call[banger.Session](ctx, c, q)
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
	list, err := call[api.SessionList](ctx, c, paged(filtered("/v1/sessions", f), after, limit))
	return list.Sessions, list.Next, err
}

// PageSummaries implements banger.SessionService.
func (c *Client) PageSummaries(ctx context.Context, f banger.SessionFilter, after string, limit int) ([]banger.SessionSummary, string, error) {
	list, err := call[api.SummaryList](ctx, c, paged(filtered("/v1/sessions/summaries", f), after, limit))
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

// paged asks for a page of a list.
func paged(q request, after string, limit int) request {
	if after != "" {
		q.query.Set("after", after)
	}
	if limit != 0 {
		q.query.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// filtered is a request for what a filter selects.
func filtered(path string, f banger.SessionFilter) request {
	q := get(path)
	if f.VM != "" {
		q.query.Set("vm", f.VM)
	}
	if f.Status != "" {
		q.query.Set("status", string(f.Status))
	}
	setTags(q.query, f.Tags)
	return q
}

// GetSession implements banger.SessionService.
func (c *Client) GetSession(ctx context.Context, vm, session string) (banger.Session, error) {
	return call[banger.Session](ctx, c, get(sessionPath, vm, session))
}

// InspectSession implements banger.SessionService.
func (c *Client) InspectSession(ctx context.Context, vm, session string) (banger.Session, error) {
	q := get(sessionPath, vm, session)
	q.query.Set("live", "true")
	return call[banger.Session](ctx, c, q)
}

// RemoveSession implements banger.SessionService.
func (c *Client) RemoveSession(ctx context.Context, vm, session string, force bool) error {
	q := remove(sessionPath, vm, session)
	q.query.Set("force", strconv.FormatBool(force))
	_, err := c.do(ctx, q, nil)
	return err
}

// PruneSessions implements banger.SessionService.
func (c *Client) PruneSessions(ctx context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
	q := post("/v1/sessions/prune")
	if r.VM != "" {
		q.query.Set("vm", r.VM)
	}
	setTags(q.query, r.Tags)
	if r.OlderThan != 0 {
		q.milliseconds("older_than_ms", r.OlderThan)
	}
	if r.Keep != nil {
		q.query.Set("keep", strconv.Itoa(*r.Keep))
	}
	if r.MaxBytes != 0 {
		q.query.Set("max_bytes", strconv.FormatInt(r.MaxBytes, 10))
	}
	q.query.Set("dry_run", strconv.FormatBool(r.DryRun))
	return call[banger.PruneResult](ctx, c, q)
}

// WaitSession implements banger.SessionService. It outlasts the daemon.
func (c *Client) WaitSession(ctx context.Context, vm, session string) (x banger.Session, err error) {
	err = c.resume(ctx, func(func()) (err error) {
		x, err = call[banger.Session](ctx, c, get(sessionPath+"/wait", vm, session))
		return err
	})
	return x, err
}
