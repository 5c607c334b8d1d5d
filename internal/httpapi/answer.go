package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/mailru/easyjson"

	"banger"
	"banger/api"
)

// errStopping is why calls are broken off when the daemon ends.
var errStopping = &banger.Error{
	Code:    banger.CodeUnavailable,
	Message: "cannot complete the request: the daemon is stopping",
	Hint:    "repeat the command; VMs and sessions keep running",
}

// wireError returns err in the form in which it is sent.
func wireError(ctx context.Context, err error) *banger.Error {
	if stopped(ctx, err) {
		return errStopping
	}
	if e, ok := errors.AsType[*banger.Error](err); ok {
		sent := *e
		sent.Message = err.Error() // what was wrapped around it tells more
		return &sent
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return banger.Errorf(banger.CodeTimeout, "cannot finish the request: its time limit ran out")
	}
	return banger.Errorf(banger.CodeInternal, "%w", err)
}

// stopped reports whether err came about because the daemon is stopping.
func stopped(ctx context.Context, err error) bool {
	if !errors.Is(context.Cause(ctx), errStopping) {
		return false
	}
	return errors.Is(err, context.Canceled) || banger.CodeOf(err) == banger.CodeUnavailable
}

// sendFailure is an error of a send, with what was accepted before it.
type sendFailure struct {
	error
	accepted banger.SendResult
}

func (f *sendFailure) Unwrap() error { return f.error }

func writeError(w http.ResponseWriter, r *http.Request, err error) {
	body := api.ErrorBody{Error: wireError(r.Context(), err)}
	if failure, ok := errors.AsType[*sendFailure](err); ok {
		body.Accepted = &failure.accepted
	}
	if body.Error == errStopping {
		w.Header().Set("Retry-After", "1")
	}
	writeResult(w, api.StatusOf(body.Error.Code), body)
}

// marshal encodes a body, by generated code if there is any.
func marshal(body any) ([]byte, error) {
	if m, ok := body.(easyjson.Marshaler); ok {
		return easyjson.Marshal(m)
	}
	return json.Marshal(body)
}

// writeResult sends an answer. That the client may have gone is not its matter.
func writeResult(w http.ResponseWriter, status int, result any) {
	if result == nil {
		w.WriteHeader(status)
		return
	}
	data, isBytes := result.([]byte)
	contentType := api.ContentBytes
	if !isBytes {
		contentType = api.ContentJSON
		var err error
		if data, err = marshal(result); err != nil {
			status, contentType = http.StatusInternalServerError, "text/plain"
			data = []byte(err.Error())
		}
		data = append(data, '\n')
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
