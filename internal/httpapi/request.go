package httpapi

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"banger"
	"banger/api"
	"banger/internal/jsonfault"
)

// request is a checked request.
type request struct {
	*http.Request
	query url.Values
	body  io.Reader // bounded, for JSON
}

func (r *request) vm() string      { return r.PathValue("vm") }
func (r *request) session() string { return r.PathValue("session") }
func (r *request) image() string   { return r.PathValue("image") }

// decode reads the JSON body into v. It refuses fields that v does not have,
// rather than ignore what somebody asked for.
func (r *request) decode(v any) error {
	d := json.NewDecoder(r.body)
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

// parseQuery returns the parameters of a request after it has checked them
// against those of its route.
func parseQuery(r *http.Request, params []api.Param) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read the query string: %w", err)
	}
	for name, given := range values {
		i := slices.IndexFunc(params, func(p api.Param) bool { return p.Name == name })
		if i < 0 {
			return nil, banger.Errorf(banger.CodeInvalid, "unknown parameter %q", name).
				WithHint("GET /openapi.json has the parameters")
		}
		if len(given) > 1 && !params[i].Repeated {
			return nil, banger.Errorf(banger.CodeInvalid, "cannot use parameter %q: it is given %d times", name, len(given))
		}
		for _, value := range given {
			if err := checkParam(params[i], value); err != nil {
				return nil, err
			}
		}
	}
	return values, nil
}

// maxMilliseconds is the longest time.Duration.
const maxMilliseconds = math.MaxInt64 / int64(time.Millisecond)

func checkParam(p api.Param, value string) error {
	wanted := ""
	switch p.Type {
	case api.ParamBool:
		if value != "true" && value != "false" {
			wanted = "true or false"
		}
	case api.ParamInt:
		if _, err := strconv.ParseInt(value, 10, 64); err != nil {
			wanted = "an integer of at most 64 bits"
		}
	case api.ParamMilliseconds:
		if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < 0 || n > maxMilliseconds {
			wanted = "a number of milliseconds such as 10000, which is not negative"
		}
	case api.ParamTime:
		if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
			wanted = "a time such as 2026-01-02T15:04:05Z (RFC 3339)"
		}
	}
	if wanted != "" {
		return banger.Errorf(banger.CodeInvalid, "cannot use %q as parameter %s: it has to be %s", value, p.Name, wanted)
	}
	return nil
}

// The rest returns parameters that parseQuery has checked.

func (r *request) flag(name string) bool { return r.query.Get(name) == "true" }

// int returns nil for a parameter that is not given.
func (r *request) int(name string) *int64 {
	if !r.query.Has(name) {
		return nil
	}
	n, _ := strconv.ParseInt(r.query.Get(name), 10, 64)
	return &n
}

// cursor returns nil for a parameter that is not given.
func (r *request) cursor(name string) (*banger.LogCursor, error) {
	text := r.query.Get(name)
	if text == "" {
		return nil, nil
	}
	cursor, err := api.ParseCursor(text)
	return &cursor, err
}

// milliseconds returns nil for a parameter that is not given.
func (r *request) milliseconds(name string) *time.Duration {
	n := r.int(name)
	if n == nil {
		return nil
	}
	return new(time.Duration(*n) * time.Millisecond)
}

// grace returns the parameters kill and grace_ms of a stop. A grace of 0 is refused: a kill
// is asked for by its name.
func (r *request) grace() (kill bool, grace time.Duration, err error) {
	given := r.milliseconds("grace_ms")
	if given == nil {
		return r.flag("kill"), 0, nil
	}
	if *given == 0 {
		return false, 0, banger.Errorf(banger.CodeInvalid, "cannot use 0 as parameter grace_ms: it has to be at least 1").
			WithHint("end it at once with kill=true")
	}
	return r.flag("kill"), *given, nil
}

// time returns the zero time for a parameter that is not given.
func (r *request) time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, r.query.Get(name))
	return t
}

// tags returns the tags of all parameters KEY=VALUE of a name.
func (r *request) tags(name string) (map[string]string, error) {
	tags := map[string]string{}
	for _, tag := range r.query[name] {
		key, value, ok := strings.Cut(tag, "=")
		if !ok || key == "" {
			return nil, banger.Errorf(banger.CodeInvalid, "cannot use %q as parameter %s: it is not KEY=VALUE", tag, name)
		}
		tags[key] = value
	}
	return tags, nil
}
