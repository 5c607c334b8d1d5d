package image

import (
	"sync"
	"time"

	"banger"
)

// builderPercent is how much of a build is the builder's work; the rest is to
// measure and store what it made.
const builderPercent = 96

// tracker turns what the parts of a build say into reports whose percentage
// never falls.
type tracker struct {
	begin time.Time

	mu      sync.Mutex // guards percent, and calls report
	report  func(banger.BuildProgress)
	percent float64
}

// newTracker returns a tracker; report may be nil.
func newTracker(report func(banger.BuildProgress)) *tracker {
	if report == nil {
		report = func(banger.BuildProgress) {}
	}
	return &tracker{begin: time.Now(), report: report}
}

// enter reports a stage that begins at least at percent of the build.
func (t *tracker) enter(stage, detail string, percent float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.percent = min(100, max(t.percent, percent))
	t.report(banger.BuildProgress{Stage: stage, Percent: t.percent, Detail: detail, ElapsedMS: time.Since(t.begin).Milliseconds()})
}

// builder reports where the builder is.
func (t *tracker) builder(stage string, done float64) { t.enter(stage, "", done*builderPercent) }
