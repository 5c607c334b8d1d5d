// Package config reads what the user of an installation has set.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"banger"
)

// maxBytes bounds the file; a larger one was not written by hand.
const maxBytes = 1 << 20

// Config is what can be set.
type Config struct {
	// Retention is what the daemon keeps of ended sessions: DefaultRetention,
	// unless the file has the table, even an empty one.
	Retention banger.Retention
	// Mirrors are where the images of a registry are looked for first, in this order, by the
	// registry's host: hosts, each perhaps with a port and a path.
	Mirrors map[string][]string
}

// file is the content of the file, TOML 1.0; D and S are the types of times and sizes.
type file[D, S any] struct {
	Retention  *retention[D, S]    `toml:"retention"`
	Registries map[string]registry `toml:"registries"`
}

type registry struct {
	Mirrors []string `toml:"mirrors"`
}

type retention[D, S any] struct {
	OlderThan D    `toml:"older_than"`
	Keep      *int `toml:"keep"`
	MaxSize   S    `toml:"max_size"`
}

// Load reads the file at path. One that does not exist sets nothing, so that the defaults hold. A key that is not
// known is an error, as is a value that cannot be: both name the file, the line and
// the key.
func Load(path string) (Config, error) {
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{Retention: DefaultRetention()}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("cannot read %s: %w", path, err)
	}
	// First whether each key has a value of its kind, since the library gives a number
	// to whoever reads a text.
	var form file[string, string]
	var f file[duration, size]
	for _, into := range []any{&form, &f} {
		if err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(into); err != nil {
			return Config{}, wrong(path, where(err))
		}
	}
	c := Config{Retention: DefaultRetention()}
	if set := f.Retention; set != nil {
		c.Retention = banger.Retention{OlderThan: time.Duration(set.OlderThan), Keep: set.Keep, MaxBytes: int64(set.MaxSize)}
	}
	if err := c.Retention.Validate(); err != nil {
		return Config{}, wrong(path, fmt.Sprintf("key retention.keep: %v", err))
	}
	for host, r := range f.Registries {
		for _, mirror := range append([]string{host}, r.Mirrors...) {
			if !isHost(mirror) || mirror == host && strings.Contains(host, "/") {
				return Config{}, wrong(path, fmt.Sprintf("key registries.%q: %q is not the host of a registry, such as docker.io or mirror.example:5000", host, mirror))
			}
		}
		if c.Mirrors == nil {
			c.Mirrors = map[string][]string{}
		}
		c.Mirrors[host] = r.Mirrors
	}
	return c, nil
}

// maxHostBytes is what a host may have with a port and a path: a name of DNS has 253.
const maxHostBytes = 512

// isHost reports whether text may be where a registry is: a host with a dot or a port, or
// localhost, as image names tell hosts from the rest, then perhaps a path.
func isHost(text string) bool {
	host, path, _ := strings.Cut(text, "/")
	word := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:", r)
	}
	return len(text) <= maxHostBytes && (host == "localhost" || strings.ContainsAny(host, ".:")) &&
		strings.IndexFunc(strings.ReplaceAll(text, "/", ""), func(r rune) bool { return !word(r) }) < 0 &&
		!strings.HasPrefix(path, "/") && !strings.HasSuffix(text, "/")
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if len(data) > maxBytes {
		err = fmt.Errorf("it has more than %d bytes", maxBytes)
	}
	return data, err
}

func wrong(path, what string) error {
	return banger.Errorf(banger.CodeCorrupt, "cannot use the configuration %s: %s", path, what).
		WithHint("correct it, or remove the file")
}

// where says what is wrong with a file, and in which line.
func where(err error) string {
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var all []string
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			all = append(all, fmt.Sprintf("line %d: key %s is not known", line, strings.Join(e.Key(), ".")))
		}
		return strings.Join(all, "; ")
	}
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := e.Position()
		text := strings.TrimPrefix(e.Error(), "toml: ")
		if kind, _, ok := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into "); ok {
			text = "its value cannot be of kind " + kind
		}
		if key := strings.Join(e.Key(), "."); key != "" {
			text = "key " + key + ": " + text
		}
		return fmt.Sprintf("line %d: %s", line, text)
	}
	return err.Error()
}

// duration is a time above zero, as Go writes it: 720h.
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v <= 0 {
		return fmt.Errorf("%q is not a duration above zero, such as 720h", text)
	}
	*d = duration(v)
	return nil
}

// size is a size such as 10G, in bytes.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	v, err := ParseSize(string(text))
	*s = size(v)
	return err
}

// DefaultKeep is how many ended sessions of each VM are kept where nothing else is said.
const DefaultKeep = 5000

// DefaultRetention is the policy where nothing else is said. It goes by number alone: who
// comes back after a long time finds what they left.
func DefaultRetention() banger.Retention {
	return banger.Retention{Keep: new(DefaultKeep)}
}
