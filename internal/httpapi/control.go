package httpapi

import (
	"context"

	"banger"
	"banger/api"
)

// sendSession streams the body into stdin, however long it is.
func (s *server) sendSession(r *request) (any, error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	// While the body is not read to its end, net/http does not notice that the
	// client has gone, and a command that does not read its stdin can keep it so.
	stop, err := watchHangUp(ctx, cancel)
	if err != nil {
		return nil, err
	}
	defer stop()
	result, err := s.Streams.SendSession(ctx, r.vm(), r.session(), banger.SendRequest{
		Data: r.Request.Body, EOF: r.flag("eof"), Offset: r.int("offset"), RawLine: r.flag("raw_line"),
	})
	if err != nil {
		return nil, &sendFailure{error: err, accepted: result}
	}
	return result, nil
}

func (s *server) stopSession(r *request) (any, error) {
	kill, grace, err := r.grace()
	if err != nil {
		return nil, err
	}
	return s.Control.StopSession(r.Context(), r.vm(), r.session(), banger.StopRequest{
		Kill: kill, Grace: grace, By: r.query.Get("by"),
	})
}

func (s *server) killSession(r *request) (any, error) {
	return s.Control.StopSession(r.Context(), r.vm(), r.session(), banger.StopRequest{Kill: true, By: r.query.Get("by")})
}

func (s *server) signalSession(r *request) (any, error) {
	return nil, s.Control.SignalSession(r.Context(), r.vm(), r.session(), banger.SignalRequest{
		Signal: r.query.Get("signal"), All: r.flag("all"),
	})
}

func (s *server) readLogs(r *request, out *stream) error {
	request, err := logRequest(r)
	if err != nil {
		return err
	}
	request.Begin = func(c banger.LogCursor) error { return out.send(api.LogLine{Cursor: &c}) }
	end, err := s.Streams.ReadLogs(r.Context(), r.vm(), r.session(), request, func(chunk banger.LogChunk) error {
		if chunk.Data == nil {
			chunk.Data = []byte{} // of a gap: no bytes, which is a text without any
		}
		return out.send(api.LogLine{LogChunk: &chunk})
	})
	if err != nil {
		return err
	}
	return out.send(api.LogLine{End: &end})
}

func (s *server) matchSession(r *request) (any, error) {
	request := banger.MatchRequest{Pattern: r.query.Get("regex"), Stream: banger.Stream(r.query.Get("stream"))}
	var err error
	if request.Cursor, err = r.cursor("cursor"); err != nil {
		return nil, err
	}
	return within(r, "find a match in session", func(ctx context.Context) (any, error) {
		return s.Streams.MatchSession(ctx, r.vm(), r.session(), request)
	})
}

func logRequest(r *request) (banger.LogRequest, error) {
	request := banger.LogRequest{
		Stream: banger.Stream(r.query.Get("stream")),
		Lines:  banger.DefaultLogLines,
		From:   r.int("from"),
		Follow: r.flag("follow"),
		Since:  r.time("since"),
		Until:  r.time("until"),
		Grep:   r.query.Get("grep"),
	}
	if r.query.Has("since") && r.query.Has("lines") {
		return request, banger.Errorf(banger.CodeInvalid, "parameters since and lines exclude each other")
	}
	if request.Stream == "" {
		request.Stream = banger.StreamBoth
	}
	if n := r.int("lines"); n != nil {
		request.Lines = int(*n)
	}
	if n := r.int("limit_bytes"); n != nil {
		request.Limit = *n
	}
	var err error
	request.Cursor, err = r.cursor("cursor")
	return request, err
}
