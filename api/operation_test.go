package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
)

// fill sets every field of a request that is sent to a value that is not its default.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *time.Duration:
		*x = 1500 * time.Millisecond
	case *time.Time:
		*x = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	case *banger.LogCursor:
		*x = banger.LogCursor{Stdout: 1 << 40, Stderr: 7}
	case *map[string]string:
		*x = map[string]string{"k": "a=b&c", "\xff": ""}
	case *[]string:
		*x = []string{"a,b", "", "c d"}
	default:
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(17)
		case reflect.String:
			v.SetString("x/y z&\xff")
		default:
			t.Fatalf("a test value of %v is missing", v.Type())
		}
	}
}

// What a client encodes is what the server decodes, whatever the operation.
func TestOperations_RequestsArriveAsTheyWere(t *testing.T) {
	for _, route := range Routes() {
		sent := reflect.New(route.request.of).Elem()
		for _, p := range route.request.query {
			if p.Without != "" {
				continue
			}
			fill(t, sent.FieldByIndex(p.index))
		}
		for _, p := range route.request.path {
			fill(t, sent.FieldByIndex(p.index))
		}
		query := route.request.encodeQuery(sent)
		for _, p := range route.request.query {
			if !query.Has(p.Name) && p.Without == "" {
				t.Errorf("%s: parameter %s is not sent", route, p.Name)
			}
			if p.Without != "" { // which comes back as its default
				if err := p.decode([]string{p.Default}, sent.FieldByIndex(p.index)); err != nil {
					t.Error(err)
				}
			}
		}
		got := reflect.New(route.request.of).Elem()
		parsed, err := url.ParseQuery(query.Encode())
		if err == nil {
			err = route.request.decodeQuery(parsed, got)
		}
		for _, p := range route.request.path {
			got.FieldByIndex(p.index).Set(sent.FieldByIndex(p.index))
		}
		if diff := cmp.Diff(sent.Interface(), got.Interface(), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Begin" }, cmp.Ignore())); err != nil || diff != "" {
			t.Errorf("%s: %v; it arrives otherwise (-sent +got):\n%s", route, err, diff)
		}
	}
}

// A request that says nothing has no parameters, and arrives with the defaults.
func TestOperations_WhatIsNotSaidIsNotSent(t *testing.T) {
	for _, route := range Routes() {
		got := reflect.New(route.request.of).Elem()
		given := url.Values{}
		for _, p := range route.request.query {
			if p.Required {
				given.Set(p.Name, "1")
			}
		}
		if err := route.request.decodeQuery(given, got); err != nil {
			t.Errorf("%s: %v", route, err)
		}
		if again := route.request.encodeQuery(got); again.Encode() != given.Encode() {
			t.Errorf("%s is sent as %q, want %q", route, again.Encode(), given.Encode())
		}
	}
}

func TestOperations_PathsAreThoseOfTheRequests(t *testing.T) {
	for _, route := range Routes() {
		var names []string
		for _, p := range route.request.path {
			names = append(names, "{"+p.name+"}")
		}
		var wanted []string
		for part := range strings.SplitSeq(route.Path, "/") {
			if strings.HasPrefix(part, "{") {
				wanted = append(wanted, part)
			}
		}
		if fmt.Sprint(names) != fmt.Sprint(wanted) {
			t.Errorf("%s: its request has %v", route, names)
		}
	}
}

// The numbers in tags are constants elsewhere.
func TestParams_LimitsAreTheConstants(t *testing.T) {
	param := func(r Route, name string) Param {
		for _, p := range r.Query {
			if p.Name == name {
				return p
			}
		}
		t.Fatalf("%s has no parameter %s", r, name)
		return Param{}
	}
	if p := param(ListSessions.Route, "limit"); *p.Max != banger.MaxPageSessions {
		t.Errorf("a page has at most %d sessions, want %d", *p.Max, banger.MaxPageSessions)
	}
	for _, c := range []struct {
		p    Param
		want int64
	}{
		{param(ReadLogs.Route, "lines"), banger.DefaultLogLines},
		{param(ConsoleLog.Route, "max_bytes"), DefaultConsoleBytes},
	} {
		if c.p.Default != fmt.Sprint(c.want) || !strings.Contains(c.p.Doc, fmt.Sprint(c.want)) {
			t.Errorf("the default of %s is %s (%s), want %d", c.p.Name, c.p.Default, c.p.Doc, c.want)
		}
	}
	for _, c := range []struct {
		r    Route
		want string
	}{
		{StopVM.Route, fmt.Sprintf("default %d, or %d if systemd is the init", banger.DefaultVMStopGrace.Milliseconds(), banger.DefaultSystemdStopGrace.Milliseconds())},
		{StopSession.Route, fmt.Sprintf("default %d", banger.DefaultStopGrace.Milliseconds())},
	} {
		if p := param(c.r, "grace_ms"); !strings.HasSuffix(p.Doc, c.want) {
			t.Errorf("%s: the grace is described as %q, want %q", c.r, p.Doc, c.want)
		}
	}
}

// Every fault of a parameter is refused by its name, and with what would be right.
func TestDecode_FaultsNameTheParameter(t *testing.T) {
	for query, want := range map[string]string{
		"nope=1":                             `unknown parameter "nope"`,
		"lines=1&lines=2":                    `parameter "lines": it is given 2 times`,
		"lines=ten":                          `"ten" as parameter lines: it has to be an integer`,
		"lines=9223372036854775808":          "parameter lines",
		"lines=":                             `"" as parameter lines`,
		"follow=yes":                         `"yes" as parameter follow: it has to be true or false`,
		"since=yesterday":                    `"yesterday" as parameter since: it has to be a time`,
		"cursor=1":                           `"1" as parameter cursor: it has to be EPOCH:STDOUT,STDERR or STDOUT,STDERR`,
		"cursor=1,-1":                        "parameter cursor",
		"since=2026-01-02T03:04:05Z&lines=3": "parameters since and lines exclude each other",
		"lines=%zz":                          "cannot read the query string",
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/vms/a/sessions/b/logs", nil)
		r.URL.RawQuery = query
		_, err := ReadLogs.Decode(r)
		if banger.CodeOf(err) != banger.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/vms/a/stop?grace_ms=0", nil)
	_, err := StopVM.Decode(r)
	if e, ok := errors.AsType[*banger.Error](err); !ok || !strings.Contains(e.Message, `"0" as parameter grace_ms: it has to be at least 1`) || !strings.Contains(e.Hint, "kill=true") {
		t.Errorf("%#v", err)
	}
}

// The bytes of a body are passed on as they come; those of a nil reader are none.
func TestEncode_ABodyOfBytesIsNotRead(t *testing.T) {
	q := SessionQuery[banger.SendRequest]{VM: "v", Session: "s"}
	req, err := SendSession.NewRequest(t.Context(), "http://x", q)
	if err != nil || req.Body != nil || req.Header.Get("Content-Type") != "" {
		t.Errorf("%+v, %v", req, err)
	}
	in, out := io.Pipe() // a read would not return
	defer out.Close()
	q.Request.Data = in
	req, err = SendSession.NewRequest(t.Context(), "http://x", q)
	if err != nil || req.Body == nil || req.Header.Get("Content-Type") != ContentBytes {
		t.Errorf("%+v, %v", req, err)
	}
	if _, err := GetVM.NewRequest(t.Context(), "http://x", VMRef{}); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("an empty ref: %v", err)
	}
}
