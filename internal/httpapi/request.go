package httpapi

import (
	"context"
	"net/http"

	"banger/api"
)

// handler serves the route of an ID.
type handler struct {
	id    string
	serve http.HandlerFunc
}

// answered serves an operation by a function that returns the answer.
func answered[Q, R any](s *server, o api.Operation[Q, R], answer func(context.Context, Q) (R, error)) handler {
	return handler{o.ID, s.answer(o.Route, func(r *http.Request) (any, error) {
		q, err := o.Decode(r)
		if err != nil {
			return nil, err
		}
		return answer(r.Context(), q)
	})}
}

// streamed serves an operation by a function that sends its answer line by line, from one
// goroutine at a time.
func streamed[Q, L any](s *server, o api.Operation[Q, L], answer func(ctx context.Context, q Q, send func(L) error) error) handler {
	return handler{o.ID, func(w http.ResponseWriter, r *http.Request) {
		q, err := prepared(s, w, r, o)
		if err != nil {
			writeError(w, r, err)
			return
		}
		out := newStream(r.Context(), w)
		defer out.close()
		if err := answer(r.Context(), q, func(line L) error { return out.send(line) }); err != nil {
			out.fail(r, err)
		}
	}}
}

// answer serves a route by a function that returns the body of its answer: a value to
// encode, a []byte to send as it is, or nil.
func (s *server) answer(route api.Route, call func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := s.prepare(w, r, route)
		var result any
		if err == nil {
			result, err = call(r)
		}
		if err != nil {
			writeError(w, r, err)
			return
		}
		writeResult(w, route.Status, result)
	}
}

// prepared returns a request of which everything has been checked that all have in common.
func prepared[Q, R any](s *server, w http.ResponseWriter, r *http.Request, o api.Operation[Q, R]) (q Q, err error) {
	if err := s.prepare(w, r, o.Route); err != nil {
		return q, err
	}
	return o.Decode(r)
}

// prepare checks the client's version and bounds the body.
func (s *server) prepare(w http.ResponseWriter, r *http.Request, route api.Route) error {
	if !route.AnyVersion {
		if err := api.CheckVersions(r.Header.Get(api.HeaderVersion), s.version); err != nil {
			return err
		}
	}
	if route.Bytes {
		// Else net/http would read much of a body before it sends an error; one that
		// somebody is typing may not end. Only HTTP/2 cannot do it, and needs not.
		_ = http.NewResponseController(w).EnableFullDuplex()
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, api.MaxBodyBytes)
	return nil
}
