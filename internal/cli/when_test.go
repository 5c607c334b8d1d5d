package cli

import (
	"testing"
	"time"
)

func TestMoment_IsGivenInAnyOfItsForms(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"10m":                         now.Add(-10 * time.Minute),
		"1h30m":                       now.Add(-90 * time.Minute),
		"0s":                          now,
		"2026-01-02T03:04:05Z":        time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05.000006Z": time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
		"2026-01-02T03:04:05+02:00":   time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"2026-01-02 03:04:05":         time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local),
		"2026-01-02":                  time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local),
		"@1136214245":                 time.Unix(1136214245, 0),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "-10m", "10", "@", "@1.5", "@-1", "@9999999999999999", "2026-13-01", "03:04", "2026-01-02T03:04:05", "999999h"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
