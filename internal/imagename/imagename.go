// Package imagename knows the names of images: those that users give, and those that
// registries have.
package imagename

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"banger"
	"banger/internal/records"
)

// Validate checks a name that an image is to have here. It is used on command lines, so it
// has neither blanks nor what shells interpret.
func Validate(name string) error {
	if name == "" || len(name) > banger.MaxNameBytes {
		return banger.Errorf(banger.CodeInvalid, "cannot name image: a name has 1 to %d bytes", banger.MaxNameBytes)
	}
	for i, c := range name {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !word && (i == 0 || !strings.ContainsRune("-_./:@", c)) {
			return banger.Errorf(banger.CodeInvalid, "cannot name image %q: a name is letters, digits and -_./:@, and begins with a letter or digit", name)
		}
	}
	return nil
}

// Familiar returns the short form of a name in a registry, in which equal ones are equal:
// node:22 for docker.io/library/node:22. It fails with CodeInvalid for what cannot be one.
func Familiar(ref string) (string, error) {
	parsed, err := Parse(ref)
	if err != nil {
		return "", err
	}
	long := parsed.Name()
	if short, ok := strings.CutPrefix(long, name.DefaultRegistry+"/"); ok {
		return strings.TrimPrefix(short, "library/"), nil
	}
	return long, nil
}

// Parse returns what a name means in a registry.
func Parse(ref string) (name.Reference, error) {
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot take image %q: %w", ref, err).
			WithHint("an image is named as in node:22 or registry.example/team/image:tag")
	}
	return parsed, nil
}

// Plain reports whether a name is a plain word, as images that are built here have.
func Plain(name string) bool { return !strings.ContainsAny(name, "/:@") }

// Find returns the image that ref means: the one with that id or name, else the one with
// that name in a registry, else the only one whose id, or plain name, begins with it.
func Find(ref string, images []banger.Image) (banger.Image, error) {
	for _, i := range images {
		if string(i.ID) == ref {
			return i, nil
		}
	}
	for _, wanted := range forms(ref) {
		for _, i := range images {
			for _, n := range i.Names() {
				if n == wanted {
					return i, nil
				}
			}
		}
	}
	return resolve(ref, images)
}

// forms returns what may be the name that ref means, the best first.
func forms(ref string) []string {
	if short, err := Familiar(ref); err == nil {
		return []string{ref, short}
	}
	return []string{ref}
}

// resolve finds an image by the beginning of its id or of a plain name.
func resolve(ref string, images []banger.Image) (banger.Image, error) {
	if ref == "" {
		return banger.Image{}, banger.Errorf(banger.CodeInvalid, "cannot find image: its name is empty")
	}
	var fitting []banger.Image
	for _, i := range images {
		begins := strings.HasPrefix(string(i.ID), ref)
		for _, n := range i.Names() {
			begins = begins || Plain(n) && strings.HasPrefix(n, ref)
		}
		if begins {
			fitting = append(fitting, i)
		}
	}
	switch len(fitting) {
	case 0:
		return banger.Image{}, records.NotFound("image", ref, images)
	case 1:
		return fitting[0], nil
	}
	return banger.Image{}, records.Ambiguous("image", ref, fitting)
}
