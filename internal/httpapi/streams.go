package httpapi

import (
	"context"
	"errors"

	"banger"
	"banger/api"
)

// sendSession streams the body into stdin, however long it is.
func (s *server) sendSession(ctx context.Context, q api.SessionQuery[banger.SendRequest]) (banger.SendResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// While the body is not read to its end, net/http does not notice that the
	// client has gone, and a command that does not read its stdin can keep it so.
	stop, err := watchHangUp(ctx, cancel)
	if err != nil {
		return banger.SendResult{}, err
	}
	defer stop()
	result, err := s.Streams.SendSession(ctx, q.VM, q.Session, q.Request)
	if err != nil {
		return result, &sendFailure{error: err, accepted: result}
	}
	return result, nil
}

func (s *server) readLogs(ctx context.Context, q api.SessionQuery[banger.LogRequest], send func(api.LogLine) error) error {
	q.Request.Begin = func(c banger.LogCursor) error { return send(api.LogLine{Cursor: &c}) }
	end, err := s.Streams.ReadLogs(ctx, q.VM, q.Session, q.Request, func(chunk banger.LogChunk) error {
		if chunk.Data == nil {
			chunk.Data = []byte{} // of a gap: no bytes, which is a text without any
		}
		return send(api.LogLine{LogChunk: &chunk})
	})
	if err != nil {
		return err
	}
	return send(api.LogLine{End: &end})
}

func (s *server) searchSessions(ctx context.Context, q banger.SearchRequest, send func(api.SearchLine) error) error {
	end, err := s.Streams.SearchSessions(ctx, q, func(result banger.SearchResult) error {
		return send(api.SearchLine{SearchResult: result})
	})
	if err != nil {
		return err
	}
	return send(api.SearchLine{End: &end})
}

func (s *server) waitSession(ctx context.Context, q api.SessionQuery[api.Patience]) (banger.Session, error) {
	return within(ctx, q.Request, "wait for session", q.Session, func(ctx context.Context) (banger.Session, error) {
		return s.Sessions.WaitSession(ctx, q.VM, q.Session)
	})
}

func (s *server) matchSession(ctx context.Context, q api.MatchSessionRequest) (banger.Match, error) {
	return within(ctx, q.Patience, "find a match in session", q.Session, func(ctx context.Context) (banger.Match, error) {
		return s.Streams.MatchSession(ctx, q.VM, q.Session, q.Request)
	})
}

// within runs what waits for a session, for as long as the request says.
func within[R any](ctx context.Context, p api.Patience, what, session string, wait func(context.Context) (R, error)) (R, error) {
	if p.Timeout == nil {
		return wait(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, *p.Timeout)
	defer cancel()
	result, err := wait(ctx)
	if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return result, banger.Errorf(banger.CodeTimeout, "cannot %s %q: it did not happen within %v", what, session, *p.Timeout)
	}
	return result, err
}
