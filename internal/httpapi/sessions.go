package httpapi

import (
	"context"
	"errors"

	"banger"
	"banger/api"
)

func (s *server) startSession(r *request) (any, error) {
	var body banger.SessionRequest
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	return s.Sessions.StartSession(r.Context(), r.vm(), body)
}

func (s *server) listSessions(r *request) (any, error) {
	filter, after, limit, err := sessionPage(r)
	if err != nil {
		return nil, err
	}
	sessions, next, err := s.Sessions.PageSessions(r.Context(), filter, after, limit)
	return api.SessionList{Sessions: list(sessions), Next: next}, err
}

func (s *server) summarizeSessions(r *request) (any, error) {
	filter, after, limit, err := sessionPage(r)
	if err != nil {
		return nil, err
	}
	summaries, next, err := s.Sessions.PageSummaries(r.Context(), filter, after, limit)
	return api.SummaryList{Sessions: list(summaries), Next: next}, err
}

// sessionPage returns what selects a page of a list.
func sessionPage(r *request) (filter banger.SessionFilter, after string, limit int, err error) {
	filter, err = sessionFilter(r)
	limit = banger.MaxPageSessions
	if n := r.int("limit"); n != nil {
		limit = int(*n)
		if *n < 1 || *n > banger.MaxPageSessions {
			err = banger.Errorf(banger.CodeInvalid, "cannot list sessions: a limit of %d does not lie between 1 and %d", *n, banger.MaxPageSessions)
		}
	}
	return filter, r.query.Get("after"), limit, err
}

func sessionFilter(r *request) (banger.SessionFilter, error) {
	tags, err := r.tags("tag")
	return banger.SessionFilter{VM: r.query.Get("vm"), Status: banger.Status(r.query.Get("status")), Tags: tags}, err
}

func (s *server) getSession(r *request) (any, error) {
	if r.flag("live") {
		return s.Sessions.InspectSession(r.Context(), r.vm(), r.session())
	}
	return s.Sessions.GetSession(r.Context(), r.vm(), r.session())
}

func (s *server) removeSession(r *request) (any, error) {
	return nil, s.Sessions.RemoveSession(r.Context(), r.vm(), r.session(), r.flag("force"))
}

func (s *server) waitSession(r *request) (any, error) {
	return within(r, "wait for session", func(ctx context.Context) (any, error) {
		return s.Sessions.WaitSession(ctx, r.vm(), r.session())
	})
}

func (s *server) pruneSessions(r *request) (any, error) {
	request := banger.PruneRequest{VM: r.query.Get("vm"), DryRun: r.flag("dry_run")}
	if d := r.milliseconds("older_than_ms"); d != nil {
		request.OlderThan = *d
	}
	if n := r.int("keep"); n != nil {
		request.Keep = new(int(*n))
	}
	if n := r.int("max_bytes"); n != nil {
		request.MaxBytes = *n
	}
	var err error
	if request.Tags, err = r.tags("tag"); err != nil {
		return nil, err
	}
	return s.Sessions.PruneSessions(r.Context(), request)
}

// within runs what waits for a session, for the time of the parameter timeout_ms if
// that is given.
func within(r *request, what string, wait func(context.Context) (any, error)) (any, error) {
	ctx := r.Context()
	timeout := r.milliseconds("timeout_ms")
	if timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *timeout)
		defer cancel()
	}
	result, err := wait(ctx)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return nil, banger.Errorf(banger.CodeTimeout, "cannot %s %q: it did not happen within %v", what, r.session(), *timeout)
	}
	return result, err
}
