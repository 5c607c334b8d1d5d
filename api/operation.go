package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"banger"
	"banger/internal/jsonfault"
)

// Operation is an operation of the API: a request of type Q is answered by an R, or by
// lines that each are one. The tags of Q's fields say where they are in the HTTP request
// (see [Param]); the client encodes a Q by them, and the server decodes it.
//
// The operations are variables, since Go has no constants of such a type. They never change.
type Operation[Q, R any] struct{ Route }

// None is the answer of operations that have none.
type None struct{}

// operation is an operation that call answers. What else a request and an answer need,
// httpapi does for all of them.
func operation[Q, R any](r Route, call func(context.Context, banger.Services, Q) (R, error)) Operation[Q, R] {
	o := special[Q, R](r)
	o.serve = func(r *http.Request, s banger.Services) (any, error) {
		q, err := o.Decode(r)
		if err != nil {
			return nil, err
		}
		result, err := call(r.Context(), s, q)
		if _, none := any(result).(None); none {
			return nil, err
		}
		return result, err
	}
	return o
}

// special is an operation that takes more than a call of a service: httpapi has a handler
// for it.
func special[Q, R any](r Route) Operation[Q, R] {
	request := requestOf(reflect.TypeFor[Q]())
	r.request, r.Query = request, request.query
	switch {
	case request.body == nil:
	case request.bytes:
		r.Bytes = true
	default:
		r.Body = reflect.Zero(reflect.TypeFor[Q]().FieldByIndex(request.body).Type).Interface()
	}
	var result R
	switch any(result).(type) {
	case None:
		r.Status = cmp.Or(r.Status, http.StatusNoContent)
	case []byte:
		r.Kind = KindBytes
	default:
		r.Result = result
	}
	r.Status = cmp.Or(r.Status, http.StatusOK)
	return Operation[Q, R]{r}
}

// stream is an operation that answers with lines, each an L.
func stream[Q, L any](r Route) Operation[Q, L] {
	r.Kind = KindStream
	return special[Q, L](r)
}

// upgrade is an operation after whose answer another protocol is spoken on the connection.
func upgrade[Q any](r Route) Operation[Q, None] {
	r.Kind, r.Status = KindUpgrade, http.StatusSwitchingProtocols
	return special[Q, None](r)
}

// NewRequest encodes q as a request for the API at a base URL without a path.
func (o Operation[Q, R]) NewRequest(ctx context.Context, base string, q Q) (*http.Request, error) {
	v := reflect.ValueOf(&q).Elem()
	path, err := o.request.encodePath(o.Path, v)
	if err != nil {
		return nil, err
	}
	address := base + path
	if query := o.request.encodeQuery(v); len(query) > 0 {
		address += "?" + query.Encode()
	}
	body, contentType, err := o.encodeBody(v)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, o.Method, address, body)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInternal, "cannot make request: %w", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req, nil
}

func (o Operation[Q, R]) encodeBody(v reflect.Value) (body io.Reader, contentType string, err error) {
	if o.request.body == nil {
		return nil, "", nil
	}
	value := v.FieldByIndex(o.request.body).Interface()
	if o.Bytes {
		body, _ := value.(io.Reader)
		if body == nil {
			return nil, "", nil
		}
		return body, ContentBytes, nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, "", banger.Errorf(banger.CodeInvalid, "cannot write request: %w", err)
	}
	return bytes.NewReader(data), ContentJSON, nil
}

// Decode is the inverse of NewRequest. It refuses with CodeInvalid what Q does not have,
// rather than ignore what somebody asked for. The caller bounds the body; bytes are left
// in it for whoever uses the request.
func (o Operation[Q, R]) Decode(r *http.Request) (q Q, err error) {
	v := reflect.ValueOf(&q).Elem()
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return q, banger.Errorf(banger.CodeInvalid, "cannot read the query string: %w", err)
	}
	if err := o.request.decodeQuery(given, v); err != nil {
		return q, err
	}
	for _, p := range o.request.path {
		v.FieldByIndex(p.index).SetString(r.PathValue(p.name))
	}
	switch {
	case o.request.body == nil:
		return q, nil
	case o.Bytes:
		v.FieldByIndex(o.request.body).Set(reflect.ValueOf(r.Body))
		return q, nil
	}
	return q, decodeJSON(r.Body, v.FieldByIndex(o.request.body).Addr().Interface())
}

// decodeJSON reads a body into v, which has a field for every member that it may have.
func decodeJSON(body io.Reader, v any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is more after its end")
		}
	}
	if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return banger.Errorf(banger.CodeInvalid, "cannot read request: it has more than %d bytes", tooBig.Limit)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("its body is empty")
	}
	return banger.Errorf(banger.CodeInvalid, "cannot read request: %w", jsonfault.Describe(err))
}

// Serve answers a request by the services, with what is to be sent: nil for nothing, a
// []byte as it is, else JSON. It is nil for a route that takes more than that.
func (r Route) Serve() func(*http.Request, banger.Services) (any, error) { return r.serve }

// RequestType is the type of the requests in Go.
func (r Route) RequestType() reflect.Type { return r.request.of }

// String is for messages.
func (r Route) String() string { return fmt.Sprintf("%s %s", r.Method, r.Path) }
