package debian

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/therootcompany/xz"

	"banger"
)

// Bounds of an index of packages: bookworm's has 9 MiB, 45 unpacked, and lines of 200 KiB.
const (
	maxIndexBytes      = 256 << 20
	maxIndexLine       = 4 << 20
	maxIndexDictionary = 128 << 20
)

// entry is a paragraph of an index, as far as it is needed here.
type entry struct {
	name, version, depends, filename, sha256 string
	size, installed                          int64 // in bytes
}

// packages returns the packages of a suite whose names begin with a prefix.
func (a Archives) packages(ctx context.Context, s Suite, prefix string) ([]entry, error) {
	name, sum, open, err := s.index(a.architecture())
	if err != nil {
		return nil, err
	}
	data, err := a.getSummed(ctx, s, name, sum)
	if err != nil {
		return nil, err
	}
	r, err := open(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s of %s: %w", name, s.Name, err)
	}
	found, err := readIndex(r, prefix)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s of %s: %w", name, s.Name, err)
	}
	return found, nil
}

// index returns the index of packages in the best form that a suite has.
func (s Suite) index(architecture string) (name string, sum fileSum, open func(io.Reader) (io.Reader, error), err error) {
	base := "main/binary-" + architecture + "/Packages"
	for _, form := range []struct {
		suffix string
		open   func(io.Reader) (io.Reader, error)
	}{
		{".xz", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, maxIndexDictionary) }},
		{".gz", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"", func(r io.Reader) (io.Reader, error) { return r, nil }},
	} {
		if sum, ok := s.release.files[base+form.suffix]; ok {
			return base + form.suffix, sum, form.open, nil
		}
	}
	return "", fileSum{}, nil, banger.Errorf(banger.CodeNotFound, "cannot read Debian suite %s: %s has no packages of it for %s", s.Name, s.URL, architecture)
}

// getSummed returns a file of a suite, verified.
func (a Archives) getSummed(ctx context.Context, s Suite, name string, sum fileSum) ([]byte, error) {
	if sum.size > maxIndexBytes {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot read %s of %s: it has %d bytes, more than %d", name, s.Name, sum.size, maxIndexBytes)
	}
	url := s.URL + "/dists/" + s.Name + "/" + name
	names := []string{url}
	if s.release.byHash { // else the file may be a newer one than the release
		names = []string{path.Dir(name) + "/by-hash/SHA256/" + sum.sha256, name}
		for i, n := range names {
			names[i] = s.URL + "/dists/" + s.Name + "/" + n
		}
	}
	var data []byte
	err := errAbsent
	for _, n := range names {
		if data, err = a.get(ctx, n, sum.size); !errors.Is(err, errAbsent) {
			break
		}
	}
	if errors.Is(err, errAbsent) {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot read %s: the mirror does not have what its release lists", url).
			WithHint("try again later, or name another mirror with --mirror")
	}
	if err != nil {
		return nil, err
	}
	if is := sha256.Sum256(data); hex.EncodeToString(is[:]) != sum.sha256 {
		return nil, badDigest(url, hex.EncodeToString(is[:]), sum.sha256)
	}
	return data, nil
}

func badDigest(url, is, want string) error {
	return banger.Errorf(banger.CodeCorrupt, "cannot use %s: its SHA-256 is %s, and should be %s", url, is, want).
		WithHint("try again; if that does not help, name another mirror with --mirror")
}

// readIndex reads paragraphs (deb-control(5)).
func readIndex(r io.Reader, prefix string) (found []entry, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxIndexLine)
	var e entry
	for more := true; more; {
		more = lines.Scan()
		line := lines.Bytes()
		if len(line) == 0 { // the end of a paragraph, or of the file
			if strings.HasPrefix(e.name, prefix) && e.name != "" {
				found = append(found, e)
			}
			e = entry{}
			continue
		}
		if key, value, ok := bytes.Cut(line, []byte(": ")); ok {
			if err := e.set(string(key), value); err != nil {
				return nil, err
			}
		}
	}
	return found, lines.Err()
}

func (e *entry) set(key string, value []byte) (err error) {
	switch key {
	case "Package":
		e.name = string(value)
	case "Version":
		e.version = string(value)
	case "Depends":
		e.depends = string(value)
	case "Filename":
		e.filename = string(value)
	case "SHA256":
		e.sha256 = string(value)
	case "Size":
		e.size, err = strconv.ParseInt(string(value), 10, 64)
	case "Installed-Size":
		e.installed, err = strconv.ParseInt(string(value), 10, 64)
		e.installed <<= 10
	}
	return err
}
