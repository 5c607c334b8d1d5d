package debian_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/debian/debiantest"
)

// kernels are packages of an archive as Debian's is: an old kernel in the release, others only
// among its security updates.
func kernels(t *testing.T) *debiantest.Archive {
	t.Helper()
	a := debiantest.New(t)
	a.Add("debian", "test", debiantest.Package{Name: "linux-image-6.1.0-10-cloud-amd64", Version: "6.1.10-1"})
	a.Add("debian", "test", debiantest.Package{Name: "linux-image-cloud-amd64", Version: "6.1.10-1", Depends: "linux-image-6.1.0-10-cloud-amd64 (= 6.1.10-1)"})
	a.Add("debian", "test-updates", debiantest.Package{Name: "tzdata", Version: "1"})
	for _, v := range []string{"6.12.9", "6.12.10", "6.12.8"} {
		a.Add("debian-security", "test-security", debiantest.Package{Name: "linux-image-" + v + "+deb12-cloud-amd64", Version: v + "-1~deb12u1"})
		a.Add("debian-security", "test-security", debiantest.Package{Name: "linux-image-" + v + "+deb12-cloud-amd64-unsigned", Version: v + "-2"})
		a.Add("debian-security", "test-security", debiantest.Package{Name: "linux-image-" + v + "+deb12-amd64", Version: v + "-2"})
	}
	a.Add("debian-security", "test-security", debiantest.Package{Name: "linux-image-6.12-cloud-amd64", Version: "6.12.10-1~deb12u1", Depends: "linux-image-6.12.10+deb12-cloud-amd64"})
	a.Add("debian-security", "test-security", debiantest.Package{Name: "linux-image-6.1.0-11-cloud-amd64", Version: "6.1.11-1"})
	return a
}

func TestFindKernel_IsTheNewestOfAllSuites(t *testing.T) {
	a := kernels(t)
	for name, want := range map[string]string{
		"6.12": "6.12.10+deb12-cloud-amd64", "6": "6.12.10+deb12-cloud-amd64", "6.12.9": "6.12.9+deb12-cloud-amd64",
		"6.1": "6.1.0-11-cloud-amd64", "6.1.0-10-cloud-amd64": "6.1.0-10-cloud-amd64", "6.12.8+deb12-amd64": "6.12.8+deb12-amd64",
		"linux-image-6.12-cloud-amd64": "6.12.10+deb12-cloud-amd64", "linux-image-cloud-amd64": "6.1.0-10-cloud-amd64",
	} {
		p, err := a.Archives().FindKernel(t.Context(), "", "test", name)
		if err != nil || p.Name != "linux-image-"+want {
			t.Errorf("%s is %s, %v; want %s", name, p.Name, err, want)
		}
	}
	for name, want := range map[string]banger.Code{"5.10": banger.CodeNotFound, "nothing": banger.CodeNotFound, "": banger.CodeInvalid, "../x": banger.CodeInvalid, "6.12.10+deb12-cloud-amd64-unsigned": banger.CodeNotFound} {
		if p, err := a.Archives().FindKernel(t.Context(), "", "test", name); banger.CodeOf(err) != want {
			t.Errorf("%q is %+v, %v; want %s", name, p, err, want)
		}
	}
	_, err := a.Archives().FindKernel(t.Context(), "", "test", "5.10")
	if e, ok := errors.AsType[*banger.Error](err); !ok || !slices.Equal(e.Candidates, []string{"6.1", "6.12"}) || e.Hint == "" {
		t.Errorf("what there is: %v", err)
	}
}

// A mirror of the user's own may have the security suites beside it, or in itself, or not.
func TestSuites_OfAMirrorOfOnesOwnHaveSecurityUpdates(t *testing.T) {
	for place, found := range map[string]string{"mirror/debian-security": "mirror/debian-security", "mirror/debian": "mirror/debian", "debian-security": "debian-security"} {
		a := debiantest.New(t)
		a.Add("mirror/debian", "test", debiantest.Package{Name: "linux-image-6.1.0-10-cloud-amd64", Version: "6.1.10-1"})
		a.Add(place, "test-security", debiantest.Package{Name: "linux-image-6.12.9+deb12-cloud-amd64", Version: "6.12.9-1"})
		p, err := a.Archives().FindKernel(t.Context(), a.URL+"/mirror/debian/", "test", "6.12")
		if err != nil || !strings.HasPrefix(p.URL, a.URL+"/"+found+"/pool/") || p.Suite != "test-security" {
			t.Errorf("in %s: %+v, %v", place, p, err)
		}
	}
}

func TestFindKernel_RefusesWhatDebianHasNotSigned(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(a *debiantest.Archive)
		code  banger.Code
		text  string
	}{
		"another key":     {func(a *debiantest.Archive) { a.SignWithAnotherKey() }, banger.CodeCorrupt, "signature"},
		"no signature":    {func(a *debiantest.Archive) { a.Replace("dists/test/InRelease", []byte("Suite: test\n")) }, banger.CodeCorrupt, "not signed"},
		"another suite":   {func(a *debiantest.Archive) { a.Rename("test", "older") }, banger.CodeCorrupt, "suite older"},
		"changed index":   {func(a *debiantest.Archive) { a.Spoil("Packages") }, banger.CodeCorrupt, "SHA-256"},
		"an old release":  {func(a *debiantest.Archive) { a.ValidUntil = time.Now().Add(-time.Hour) }, banger.CodeUnavailable, "valid until"},
		"half of it":      {func(a *debiantest.Archive) { a.Cut("Packages") }, banger.CodeUnavailable, "Packages"},
		"an index is off": {func(a *debiantest.Archive) { a.Hide("Packages") }, banger.CodeUnavailable, "does not have"},
	} {
		a := kernels(t)
		c.spoil(a)
		p, err := a.Archives().FindKernel(t.Context(), "", "test", "6.12")
		if banger.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %+v, %v; want %s with %q", name, p, err, c.code, c.text)
		}
		if e, ok := errors.AsType[*banger.Error](err); ok && name != "another suite" && e.Hint == "" {
			t.Errorf("%s: no next step in %v", name, err)
		}
	}
}

func TestFindKernel_MirrorThatIsAwayIsUnavailable(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	a := kernels(t)
	_, err := a.Archives().FindKernel(t.Context(), gone.URL, "test", "6.12")
	if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != banger.CodeUnavailable || !strings.Contains(e.Hint, "--mirror") {
		t.Errorf("a mirror that is away: %v", err)
	}
	archives := a.Archives()
	archives.Security = gone.URL
	if _, err := archives.FindKernel(t.Context(), "", "test", "6.12"); banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("the security archive is away: %v", err)
	}
	if p, err := archives.FindKernel(t.Context(), "", "test", "6.1"); err != nil || p.Version != "6.1.10-1" {
		t.Errorf("it is not needed: %+v, %v", p, err)
	}
	if _, err := a.Archives().FindKernel(t.Context(), "", "none", "6.12"); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("a suite that does not exist: %v", err)
	}
	if _, err := a.Archives().FindKernel(t.Context(), "file:///srv", "test", "6.12"); banger.CodeOf(err) != banger.CodeInvalid {
		t.Errorf("what is not a mirror: %v", err)
	}
}

func TestFetch_GivesOnlyWhatTheArchiveHasSigned(t *testing.T) {
	a := kernels(t)
	p, err := a.Archives().FindKernel(t.Context(), "", "test", "6.12")
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	var come int64
	if err := a.Archives().Fetch(t.Context(), p, &got, func(n int64) { come += n }); err != nil || int64(got.Len()) != p.Bytes || come != p.Bytes {
		t.Errorf("%d of %d bytes, %d reported, %v", got.Len(), p.Bytes, come, err)
	}
	for name, c := range map[string]struct {
		spoil func(string)
		code  banger.Code
	}{
		"changed": {a.Spoil, banger.CodeCorrupt}, "cut off": {a.Cut, banger.CodeUnavailable}, "longer": {a.Lengthen, banger.CodeCorrupt}, "gone": {a.Hide, banger.CodeUnavailable},
	} {
		c.spoil("6.12.10+deb12-cloud-amd64_")
		err := a.Archives().Fetch(t.Context(), p, io.Discard, func(int64) {})
		if e, ok := errors.AsType[*banger.Error](err); !ok || e.Code != c.code || e.Hint == "" {
			t.Errorf("%s: %v, want %s and a next step", name, err, c.code)
		}
	}
}
