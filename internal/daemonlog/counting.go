package daemonlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// window is how long what was logged is counted only when it comes again.
	window = time.Minute
	// maxKnown bounds what is known of; beyond it everything is forgotten at once.
	maxKnown = 1024
	// maxText bounds a string, of which a guest or another host may have chosen every byte.
	maxText = 4 << 10
)

// Counting returns a handler that writes equal records once a minute, with how often they
// came since ("repeated"). Records are equal if they differ only in numbers and times.
func Counting(inner slog.Handler) slog.Handler {
	return &counting{inner: inner, seen: &seen{records: map[string]*repeated{}}}
}

type counting struct {
	inner  slog.Handler
	prefix string // what WithAttrs and WithGroup have added
	seen   *seen
}

// seen is shared by a handler and those made from it.
type seen struct {
	mu      sync.Mutex // guards records
	records map[string]*repeated
}

type repeated struct {
	written time.Time
	more    int // times since
}

// Enabled implements slog.Handler.
func (c *counting) Enabled(ctx context.Context, level slog.Level) bool {
	return c.inner.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (c *counting) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, short(r.Message), r.PC)
	var key strings.Builder
	fmt.Fprint(&key, r.Level, c.prefix, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		a.Value = a.Value.Resolve()
		switch a.Value.Kind() {
		case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindDuration, slog.KindTime:
			fmt.Fprint(&key, " ", a.Key)
		default:
			a.Value = slog.StringValue(short(a.Value.String()))
			fmt.Fprint(&key, " ", a)
		}
		out.AddAttrs(a)
		return true
	})
	more, write := c.seen.note(key.String(), r.Time)
	if !write {
		return nil
	}
	if more > 0 {
		out.AddAttrs(slog.Int("repeated", more))
	}
	return c.inner.Handle(ctx, out)
}

// note reports whether a record is to be written at a time, and how many like it were not
// since the last one that was.
func (s *seen) note(key string, at time.Time) (more int, write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[key]
	if r != nil && at.Sub(r.written) < window {
		r.more++
		return 0, false
	}
	if r == nil {
		if len(s.records) >= maxKnown {
			clear(s.records)
		}
		r = &repeated{}
		s.records[key] = r
	}
	more, r.more, r.written = r.more, 0, at
	return more, true
}

func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + "…"
}

// WithAttrs implements slog.Handler.
func (c *counting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &counting{inner: c.inner.WithAttrs(attrs), prefix: c.prefix + fmt.Sprint(attrs), seen: c.seen}
}

// WithGroup implements slog.Handler.
func (c *counting) WithGroup(name string) slog.Handler {
	return &counting{inner: c.inner.WithGroup(name), prefix: c.prefix + name + ".", seen: c.seen}
}
