package session

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"banger"
)

// now is when the rule is applied in these tests.
var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// endedAgo is a session that ended some hours ago with a number of bytes in its logs.
func endedAgo(name string, hours int, bytes int64) banger.Session {
	x := banger.Session{ID: banger.SessionID(name), Name: name, CreatedAt: now.Add(-1000 * time.Hour)}
	x.UpdatedAt = x.CreatedAt
	x.EndSeenAt = now.Add(-time.Duration(hours) * time.Hour)
	x.Status, x.EndedAt, x.StdoutBytes, x.LogLimit = banger.StatusExited, now.Add(-time.Duration(hours)*time.Hour), bytes, banger.NoLogLimit
	return x
}

func TestExpire_EachCriterionNamesItsOwn(t *testing.T) {
	running := banger.Session{Name: "running", SessionState: banger.SessionState{Status: banger.StatusRunning, StdoutBytes: 1 << 40}}
	neverRan := endedAgo("never ran", 0, 0)
	neverRan.Status, neverRan.EndedBy, neverRan.EndedAt = banger.StatusFailed, banger.EndedByLaunch, time.Time{}
	neverRan.EndSeenAt = time.Time{} // recorded by an older daemon
	limited := endedAgo("limited", 50, 1<<30)
	limited.LogLimit = 100
	overflow := endedAgo("overflow", 60, math.MaxInt64)
	overflow.StderrBytes = math.MaxInt64
	survived := endedAgo("survived", 5, 1<<40)
	survived.Survivors = &banger.Survivors{Count: 1}
	sessions := []banger.Session{
		endedAgo("a", 10, 100), running, survived, endedAgo("b", 30, 200), endedAgo("c", 20, 300), neverRan, limited, overflow,
	}
	for name, c := range map[string]struct {
		banger.Retention
		want []string
		next time.Duration // from now, 0 for none
	}{
		"nothing":        {want: nil},
		"age":            {Retention: banger.Retention{OlderThan: 25 * time.Hour}, want: []string{"never ran older-than", "overflow older-than", "limited older-than", "b older-than"}, next: 5 * time.Hour},
		"age to the µs":  {Retention: banger.Retention{OlderThan: 20 * time.Hour}, want: []string{"never ran older-than", "overflow older-than", "limited older-than", "b older-than", "c older-than"}, next: 10 * time.Hour},
		"a great age":    {Retention: banger.Retention{OlderThan: 2000 * time.Hour}, next: 1000 * time.Hour},
		"a count":        {Retention: banger.Retention{Keep: new(2)}, want: []string{"never ran keep", "overflow keep", "limited keep", "b keep"}},
		"a count of all": {Retention: banger.Retention{Keep: new(6)}},
		"none":           {Retention: banger.Retention{Keep: new(0)}, want: []string{"never ran keep", "overflow keep", "limited keep", "b keep", "c keep", "a keep"}},
		"a size":         {Retention: banger.Retention{MaxBytes: 700}, want: []string{"never ran max-size", "overflow max-size"}},
		"a small size":   {Retention: banger.Retention{MaxBytes: 699}, want: []string{"never ran max-size", "overflow max-size", "limited max-size"}},
		"all three": {
			Retention: banger.Retention{OlderThan: 55 * time.Hour, Keep: new(3), MaxBytes: 399},
			want:      []string{"never ran older-than", "overflow older-than", "limited keep", "b max-size", "c max-size"}, next: 45 * time.Hour,
		},
	} {
		gone, next := expire(sessions, c.Retention, now)
		var got []string
		for _, x := range gone {
			got = append(got, x.Name+" "+x.reason)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if c.next == 0 && !next.IsZero() || c.next != 0 && !next.Equal(now.Add(c.next)) {
			t.Errorf("%s: the next one goes at %v", name, next)
		}
	}
}

func TestExpire_AGuestsClockGivesNothingUp(t *testing.T) {
	ahead, behind := endedAgo("ahead", 3, 1), endedAgo("behind", 1, 1)
	ahead.EndedAt, behind.EndedAt = now.Add(1000*time.Hour), now.Add(-1000*time.Hour)
	for _, r := range []banger.Retention{{OlderThan: 2 * time.Hour}, {Keep: new(1)}, {MaxBytes: 1}} {
		gone, _ := expire([]banger.Session{ahead, behind}, r, now)
		if len(gone) != 1 || gone[0].Name != "ahead" {
			t.Errorf("%+v gives up %+v", r, gone)
		}
	}
}

// TestExpire_OnceAppliedNamesNothingMore is what makes it safe to apply at any time:
// and at the time that it tells, one more session goes.
func TestExpire_OnceAppliedNamesNothingMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sessions []banger.Session
		for n := range rapid.IntRange(0, 20).Draw(t, "sessions") {
			x := endedAgo(fmt.Sprint(n), rapid.IntRange(-5, 50).Draw(t, "hours"), rapid.Int64Range(0, 100).Draw(t, "bytes"))
			x.Status = rapid.SampledFrom(banger.Statuses()).Draw(t, "status")
			sessions = append(sessions, x)
		}
		r := banger.Retention{OlderThan: time.Duration(rapid.IntRange(0, 40).Draw(t, "older than")) * time.Hour, MaxBytes: rapid.Int64Range(0, 1000).Draw(t, "max bytes")}
		if rapid.Bool().Draw(t, "with a count") {
			r.Keep = new(rapid.IntRange(0, 20).Draw(t, "keep"))
		}
		gone, next := expire(sessions, r, now)
		left := slices.DeleteFunc(slices.Clone(sessions), func(x banger.Session) bool {
			return slices.ContainsFunc(gone, func(g expired) bool { return g.ID == x.ID })
		})
		if len(left)+len(gone) != len(sessions) || slices.ContainsFunc(gone, func(g expired) bool { return !g.Status.Ended() }) {
			t.Fatalf("%d of %d sessions go, and %d are left", len(gone), len(sessions), len(left))
		}
		if again, sameNext := expire(left, r, now); len(again) > 0 || !sameNext.Equal(next) {
			t.Fatalf("then %d more go, and the next one at %v instead of %v", len(again), sameNext, next)
		}
		if !next.IsZero() {
			if later, _ := expire(left, r, next); len(later) == 0 || !next.After(now) {
				t.Fatalf("at %v nothing goes", next)
			}
		}
	})
}
