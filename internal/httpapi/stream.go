package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"banger"
	"banger/api"
)

// stream is an answer of lines. It begins with the first one: an error before
// that is an ordinary answer. Not safe for concurrent use.
type stream struct {
	w      http.ResponseWriter
	ctl    *http.ResponseController
	begun  bool
	closed func() bool // ends the watch for the end of ctx
}

// newStream returns a stream that no client can block beyond the end of ctx by
// not reading.
func newStream(ctx context.Context, w http.ResponseWriter) *stream {
	s := &stream{w: w, ctl: http.NewResponseController(w)}
	s.closed = context.AfterFunc(ctx, func() { _ = s.ctl.SetWriteDeadline(time.Now()) })
	return s
}

func (s *stream) close() { s.closed() }

// send sends one line at once.
func (s *stream) send(line any) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", api.ContentStream)
	}
	if _, err := s.w.Write(append(data, '\n')); err != nil {
		return errors.Join(errClientGone, err)
	}
	if err := s.ctl.Flush(); err != nil {
		return errors.Join(errClientGone, err)
	}
	return nil
}

var errClientGone = errors.New("the client has gone")

// fail ends the stream with an error: as an answer if nothing was sent yet, else
// as its last line. A stream that the end of the daemon breaks off just ends, so
// that a client can tell that there is more.
func (s *stream) fail(r *http.Request, err error) {
	switch {
	case errors.Is(err, errClientGone):
	case !s.begun:
		writeError(s.w, r, err)
	case r.Context().Err() == nil:
		_ = s.send(struct {
			Error *banger.Error `json:"error"`
		}{wireError(r.Context(), err)})
	}
}
