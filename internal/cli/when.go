package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"banger"

	"github.com/spf13/pflag"
)

// whenHelp describes the forms in which a moment can be given.
const whenHelp = `T is a duration before now (10m, 1h30m), an RFC 3339 time (2006-01-02T15:04:05Z), a
local time (2006-01-02 15:04:05, 2006-01-02), or seconds since 1970 (@1136214245). It is
compared with the guest's clock.`

// moment is the value of a flag such as --since; zero is not given.
type moment struct{ time.Time }

// addMoments adds --since and --until.
func addMoments(flags *pflag.FlagSet) (since, until *moment) {
	since, until = new(moment), new(moment)
	flags.Var(since, "since", "only output written at this time or later")
	flags.Var(until, "until", "only output written at this time or earlier")
	return since, until
}

// String implements pflag.Value.
func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339Nano)
}

// Type implements pflag.Value; it is what --help shows.
func (m *moment) Type() string { return "T" }

// Set implements pflag.Value.
func (m *moment) Set(text string) (err error) {
	m.Time, err = parseMoment(text, time.Now())
	return err
}

func parseMoment(text string, now time.Time) (time.Time, error) {
	t, ok := momentBefore(text, now)
	if !ok {
		return t, fmt.Errorf("%q is not a time; use for example 10m (ten minutes ago), 2006-01-02T15:04:05Z, \"2006-01-02 15:04:05\", 2006-01-02 or @1136214245", text)
	}
	if !banger.ValidTime(t) {
		return t, fmt.Errorf("%q is not between the years %d and %d", text, banger.MinYear, banger.MaxYear)
	}
	return t, nil
}

// momentBefore reads any of the forms.
func momentBefore(text string, now time.Time) (t time.Time, ok bool) {
	if seconds, ok := strings.CutPrefix(text, "@"); ok {
		n, err := strconv.ParseInt(seconds, 10, 64)
		return time.Unix(n, 0), err == nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), ago >= 0
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, true
	}
	for _, layout := range []string{time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true
		}
	}
	return t, false
}
