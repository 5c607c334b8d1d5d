package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"banger"
	"banger/api"
	"banger/internal/httpapi/httpapitest"
	"banger/internal/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a served fake and a plain HTTP client, as curl is one.
type rig struct {
	*testing.T
	fake   *servicetest.Fake
	daemon *httpapitest.Daemon
	socket string
	client *http.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOf(t, &servicetest.Fake{})
}

func newRigOf(t *testing.T, fake *servicetest.Fake) *rig {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	r := &rig{T: t, fake: fake, socket: socket, daemon: httpapitest.NewDaemon(t, socket, "v1.2.3")}
	r.client = plainClient(socket)
	r.daemon.Start(r.fake)
	return r
}

func plainClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// open sends a request; headers are pairs of name and value.
func (r *rig) open(ctx context.Context, method, path, body string, headers ...string) *http.Response {
	r.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	return resp
}

func (r *rig) do(method, path, body string, headers ...string) (status int, answer string) {
	r.Helper()
	resp := r.open(r.Context(), method, path, body, headers...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// readAnswer reads an answer, but not what follows an upgrade.
func readAnswer(t *testing.T, in *bufio.Reader) (status int, header http.Header, body string) {
	t.Helper()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(data)
}

// wantError checks an answer that is an error.
func (r *rig) wantError(status int, answer string, wantStatus int, code banger.Code, text string) banger.Error {
	r.Helper()
	var body api.ErrorBody
	if err := json.Unmarshal([]byte(answer), &body); err != nil || body.Error == nil {
		r.Fatalf("answer %q is no error: %v", answer, err)
	}
	if status != wantStatus || body.Error.Code != code || !strings.Contains(body.Error.Message, text) {
		r.Fatalf("got status %d and %+v; want %d, %s and %q", status, *body.Error, wantStatus, code, text)
	}
	return *body.Error
}

// line reads one line of a stream.
func line[L any](t *testing.T, in *bufio.Reader) (l L) {
	t.Helper()
	text, err := in.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		t.Fatalf("line %q: %v", text, err)
	}
	return l
}
