package session

import (
	"cmp"
	"math"
	"slices"
	"time"

	"banger"
	"banger/internal/records"
)

// The reasons for which a session is given up.
const (
	reasonAge   = "older-than"
	reasonCount = "keep"
	reasonSize  = "max-size"
)

// expired is a session that is given up, and why.
type expired struct {
	banger.Session
	reason string
}

// expire is the rule of retention. It returns which of the sessions of one VM are
// given up now, in the order of their ends, and when the next one gets too old, which
// is the zero time if none does. An end counts from when this host saw it, and now is of
// the same clock, so that neither a guest's clock nor a setting of the host's gives up
// anything. A session that has left processes alive is none of them:
// who removes it kills these.
func expire(sessions []banger.Session, r banger.Retention, now time.Time) (gone []expired, next time.Time) {
	ended := slices.DeleteFunc(slices.Clone(sessions), func(x banger.Session) bool { return !x.Status.Ended() || x.Survivors != nil })
	slices.SortFunc(ended, func(a, b banger.Session) int { // who ended last comes first
		return cmp.Or(seenEnd(b).Compare(seenEnd(a)), endTime(b).Compare(endTime(a)), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	var bytes int64
	for i, x := range ended {
		bytes += min(records.KeptBytes(x), math.MaxInt64-bytes) // a guest may say anything
		tooOld := seenEnd(x).Add(r.OlderThan)
		switch {
		case r.OlderThan > 0 && !now.Before(tooOld):
			gone = append(gone, expired{x, reasonAge})
		case r.Keep != nil && i >= *r.Keep:
			gone = append(gone, expired{x, reasonCount})
		case r.MaxBytes > 0 && bytes > r.MaxBytes:
			gone = append(gone, expired{x, reasonSize})
		case r.OlderThan > 0:
			next = tooOld // of those that are kept the last one ended first
		}
	}
	slices.Reverse(gone)
	return gone, next
}

// seenEnd is when this host saw an end; of a record that an older daemon wrote, when that
// changed last.
func seenEnd(x banger.Session) time.Time {
	if x.EndSeenAt.IsZero() {
		return x.UpdatedAt
	}
	return x.EndSeenAt
}

// endTime is when an ended session has ended, as far as anybody knows.
func endTime(x banger.Session) time.Time {
	if x.EndedAt.IsZero() {
		return x.CreatedAt
	}
	return x.EndedAt
}
