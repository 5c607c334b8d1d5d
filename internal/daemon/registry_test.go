//go:build !unit

package daemon

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"banger"
)

// What a user is logged in with is sent to the registry, and nowhere else: layers that it
// keeps elsewhere are fetched without it.
func TestPullImage_ThePasswordGoesToTheRegistryOnly(t *testing.T) {
	r := newRegistry(t, false)
	r.push(t, "app", imageOf(t, randomLayer(t, 10<<10)))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if auth := q.Header.Get("Authorization"); auth != "" {
			t.Errorf("another host got %q", auth)
		}
		r.Config.Handler.ServeHTTP(w, q)
	}))
	t.Cleanup(elsewhere.Close)
	other := strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)
	redirected := 0
	r.wrap = func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		user, password, _ := q.BasicAuth()
		switch {
		case !strings.HasPrefix(q.Host, "127.0.0.1"):
			next.ServeHTTP(w, q)
		case user != "me" || password != "secret":
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(q.URL.Path, "/blobs/"):
			redirected++
			http.Redirect(w, q, other+q.URL.Path, http.StatusTemporaryRedirect)
		default:
			next.ServeHTTP(w, q)
		}
	}
	d := newDaemon(t, t.TempDir(), nil)
	for _, login := range []*banger.RegistryLogin{nil, {Username: "me", Password: "wrong"}} {
		_, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app"), Login: login}, nil)
		if banger.CodeOf(err) != banger.CodeMissing || strings.Contains(err.Error(), "wrong") {
			t.Errorf("logged in with %v: %v", login, err)
		}
	}
	login := &banger.RegistryLogin{Username: "me", Password: "secret"}
	if _, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app"), Login: login}, nil); err != nil {
		t.Error(err)
	}
	if redirected != 2 { // the configuration and the layer
		t.Errorf("%d blobs were redirected, want 2", redirected)
	}
}

// The same over a token, as most registries have it.
func TestPullImage_LogsInForATokenWhereTheRegistryWantsOne(t *testing.T) {
	r := newRegistry(t, true)
	r.push(t, "app", imageOf(t, randomLayer(t, 10<<10)))
	r.wrap = func(w http.ResponseWriter, q *http.Request, next http.Handler) {
		user, password, _ := q.BasicAuth()
		switch {
		case q.URL.Path == "/token" && user == "me" && password == "secret":
			_, _ = w.Write([]byte(`{"token": "the token"}`))
		case q.URL.Path == "/token":
			w.WriteHeader(http.StatusUnauthorized)
		case q.Header.Get("Authorization") != "Bearer the token":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+r.URL+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, q)
		}
	}
	d := newDaemon(t, t.TempDir(), r.Client().Transport)
	_, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app")}, nil)
	if banger.CodeOf(err) != banger.CodeMissing {
		t.Errorf("without a login: %v", err)
	}
	login := &banger.RegistryLogin{Username: "me", Password: "secret"}
	if _, err := d.Images.PullImage(t.Context(), banger.PullRequest{Reference: r.ref("app"), Login: login}, nil); err != nil {
		t.Error(err)
	}
}
