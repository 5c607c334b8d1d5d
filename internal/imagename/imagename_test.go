package imagename_test

import (
	"strings"
	"testing"

	"banger"
	"banger/internal/imagename"
)

func TestFind_NamesOfRegistriesAreFoundInFullAndInEveryForm(t *testing.T) {
	images := []banger.Image{
		{ID: "aaaa", Name: "default"}, {ID: "bbbb", Name: "node:22", Tags: []string{"web", "node:lts"}},
		{ID: "cccc", Name: "node:latest"}, {ID: "dddd", Name: "ghcr.io/team/app:1"}, {ID: "ddee"},
	}
	for ref, want := range map[string]string{
		"aaaa": "aaaa", "default": "aaaa", "def": "aaaa", "aa": "aaaa", "w": "bbbb", "web": "bbbb", "node:lts": "bbbb",
		"node:22": "bbbb", "docker.io/library/node:22": "bbbb", "library/node:22": "bbbb", "index.docker.io/library/node:22": "bbbb",
		"node": "cccc", "docker.io/node": "cccc", "ghcr.io/team/app:1": "dddd",
	} {
		if got, err := imagename.Find(ref, images); err != nil || string(got.ID) != want {
			t.Errorf("%s is %s, %v; want %s", ref, got.ID, err, want)
		}
	}
	for ref, want := range map[string]banger.Code{
		"": banger.CodeInvalid, "node:2": banger.CodeNotFound, "nod": banger.CodeNotFound, "ghcr.io/team/app": banger.CodeNotFound,
		"ghcr.io": banger.CodeNotFound, "node:22@sha256:" + strings.Repeat("0", 64): banger.CodeNotFound, "dd": banger.CodeAmbiguous,
	} {
		if got, err := imagename.Find(ref, images); banger.CodeOf(err) != want {
			t.Errorf("%q is %s, %v; want %s", ref, got.ID, err, want)
		}
	}
}

func TestFamiliar_EqualNamesAreEqual(t *testing.T) {
	for ref, want := range map[string]string{
		"node": "node:latest", "docker.io/library/node": "node:latest", "docker.io/team/app:1": "team/app:1",
		"localhost:5000/x": "localhost:5000/x:latest", "x@sha256:" + strings.Repeat("a", 64): "x@sha256:" + strings.Repeat("a", 64),
	} {
		if got, err := imagename.Familiar(ref); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", ref, got, err, want)
		}
	}
	for _, ref := range []string{"", "A", "a b", "a@sha256:1", "a:" + strings.Repeat("x", 200)} {
		if got, err := imagename.Familiar(ref); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%q is %q, %v", ref, got, err)
		}
	}
}

func TestValidate_NamesHaveNothingThatAShellInterprets(t *testing.T) {
	for _, name := range []string{"a", "default", "node:22", "ghcr.io/a/b@sha256:0", "A_b-c.d", strings.Repeat("x", banger.MaxNameBytes)} {
		if err := imagename.Validate(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "-x", "/x", ":x", "a b", "a$b", "a\x1b[m", "a;b", "ä", strings.Repeat("x", banger.MaxNameBytes+1)} {
		if err := imagename.Validate(name); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
}
