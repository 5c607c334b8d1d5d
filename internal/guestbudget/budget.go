package guestbudget

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Budget is that of one guest. Safe for concurrent use.
type Budget struct {
	// HostLog has the bytes that the guest's words may take in the daemon's log. What
	// is over them is left out and counted by whoever asks.
	HostLog *Rate
	// Pending has the bytes of changes that wait for the store.
	Pending *Bytes
}

// New returns an untouched budget.
func New() *Budget {
	return &Budget{
		HostLog: NewRate(HostLogBytes, HostLogTime, HostLogBytes),
		Pending: NewBytes(PendingBytes),
	}
}

// NewStoreWrites returns the transactions that the changes of one guest may begin. Who is
// over them waits: changes of a session that wait are merged.
func NewStoreWrites() *Rate { return NewRate(StoreWritesASecond, time.Second, StoreWritesAtOnce) }

// Rate is an amount that grows with time, up to a burst: a token bucket. Safe for
// concurrent use.
type Rate struct{ limiter *rate.Limiter }

// NewRate returns a full bucket of burst, to which amount is added in each interval.
func NewRate(amount int, each time.Duration, burst int) *Rate {
	return &Rate{rate.NewLimiter(rate.Limit(float64(amount)/each.Seconds()), burst)}
}

// Take takes n if there are enough, and reports whether it has.
func (r *Rate) Take(n int) bool { return r.limiter.AllowN(time.Now(), n) }

// Await takes n as soon as there are enough. It fails with ctx, and at once if n is
// more than the burst.
func (r *Rate) Await(ctx context.Context, n int) error { return r.limiter.WaitN(ctx, n) }

// Bytes are what can be held at a time. Safe for concurrent use.
type Bytes struct {
	mu   sync.Mutex // guards left
	left int
}

// NewBytes returns n bytes that nobody holds.
func NewBytes(n int) *Bytes { return &Bytes{left: n} }

// Take takes n if enough are left, and reports whether it has.
func (b *Bytes) Take(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return false
	}
	b.left -= n
	return true
}

// Give gives back what Take has taken.
func (b *Bytes) Give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += n
}
