//go:build !unit

package daemon

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"banger"
	"banger/internal/config"
	"banger/internal/paths"
)

// An image is looked for in the mirrors of its registry, then there; it has the name that it
// has there, and no mirror gets the login.
func TestPullImage_LooksIntoTheMirrorsFirst(t *testing.T) {
	origin, mirror, empty, down := newRegistry(t, false), newRegistry(t, false), newRegistry(t, false), newRegistry(t, false)
	both, only := imageOf(t, randomLayer(t, 10<<10)), imageOf(t, randomLayer(t, 20<<10))
	host := strings.TrimPrefix(origin.URL, "http://")
	origin.push(t, "both:1", both)
	origin.push(t, "only:1", only)
	mirror.push(t, "hub/both:1", both)
	down.wrap = func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) }
	mirror.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a mirror gets the login of the registry")
		}
		next.ServeHTTP(w, r)
	}
	dir := t.TempDir()
	p := paths.Paths{Config: dir + "/config", Data: dir + "/data", State: dir + "/state"}
	if err := p.Create(); err != nil {
		t.Fatal(err)
	}
	d, err := New(t.Context(), Parts{Paths: p, Log: slog.New(slog.DiscardHandler), Settings: config.Config{
		Mirrors: map[string][]string{host: {strings.TrimPrefix(down.URL, "http://"), empty.ref("x"), mirror.ref("hub")}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	before := origin.blobs.Load()
	image, err := d.Images.PullImage(t.Context(), banger.PullRequest{
		Reference: origin.ref("both:1"), Login: &banger.RegistryLogin{Username: "me", Password: "secret"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if image.Name != origin.ref("both:1") || image.OCI.Source != origin.ref("both:1") {
		t.Errorf("the image is called %s, from %s", image.Name, image.OCI.Source)
	}
	if asked := origin.blobs.Load() - before; asked != 0 || mirror.blobs.Load() == 0 {
		t.Errorf("the registry was asked for %d blobs, and its mirror for %d", asked, mirror.blobs.Load())
	}
	pull(t, d, origin.ref("only:1"))
	if origin.blobs.Load() == before {
		t.Error("an image that no mirror has came from nowhere")
	}
	// A blob that the mirror does not have is the registry's.
	mirror.push(t, "hub/only:1", only)
	inner := mirror.wrap
	mirror.wrap = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		inner(w, r, next)
	}
	if err := d.Images.DeleteImage(t.Context(), origin.ref("only:1")); err != nil {
		t.Fatal(err)
	}
	pull(t, d, origin.ref("only:1"))
}
