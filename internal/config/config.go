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
}

// file is the content of the file, TOML 1.0; D and S are the types of times and sizes.
type file[D, S any] struct {
	Retention *retention[D, S] `toml:"retention"`
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
	return c, nil
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
