package image

import (
	"context"
	"io"
	"sync"
	"time"

	"banger"
)

// reportEvery is the least time between two reports about the bytes of a layer.
const reportEvery = 200 * time.Millisecond

// pullTracker reports what a pull does. Safe for concurrent use.
type pullTracker struct {
	begin time.Time

	mu     sync.Mutex // guards the fields below, and calls report
	report func(banger.PullProgress)
	at     []layerProgress
}

// layerProgress is where a layer is.
type layerProgress struct {
	stage    banger.PullStage
	begin    time.Time // of the stage
	reported time.Time
	bytes    int64
	total    int64
}

// newPullTracker returns a tracker; report may be nil.
func newPullTracker(report func(banger.PullProgress)) *pullTracker {
	if report == nil {
		report = func(banger.PullProgress) {}
	}
	return &pullTracker{begin: time.Now(), report: report}
}

// begins says which layers there are.
func (t *pullTracker) begins(layers []ForeignLayer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = make([]layerProgress, len(layers))
	for n, l := range layers {
		t.at[n].total = l.Bytes
	}
}

// image reports a stage of the image.
func (t *pullTracker) image(stage banger.PullStage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report(banger.PullProgress{Stage: stage, Layers: len(t.at), ElapsedMS: time.Since(t.begin).Milliseconds()})
}

// layer reports that a layer enters a stage.
func (t *pullTracker) layer(n int, stage banger.PullStage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.at[n]
	if l.stage != "" && l.bytes > 0 {
		t.send(n) // how the last stage ended
	}
	l.stage, l.begin, l.bytes = stage, time.Now(), 0
	t.send(n)
}

// advance reports that bytes of a layer have come, or were in vain.
func (t *pullTracker) advance(n int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.at[n]
	if l.bytes += bytes; time.Since(l.reported) >= reportEvery {
		t.send(n)
	}
}

// send reports where a layer is.
func (t *pullTracker) send(n int) {
	l := &t.at[n]
	l.reported = time.Now()
	var rate int64
	if took := l.reported.Sub(l.begin); took > 0 {
		rate = int64(float64(max(l.bytes, 0)) / took.Seconds())
	}
	t.report(banger.PullProgress{
		Stage: l.stage, Layer: n + 1, Layers: len(t.at), Bytes: l.bytes, TotalBytes: l.total, BytesPerSecond: rate,
		ElapsedMS: l.reported.Sub(t.begin).Milliseconds(),
	})
}

// open opens the archive of a layer that is to be unpacked.
func (t *pullTracker) open(ctx context.Context, n int, l ForeignLayer) (io.ReadCloser, error) {
	t.layer(n, banger.PullUnpacking)
	r, err := l.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &trackedReader{ReadCloser: r, tracker: t, layer: n}, nil
}

// trackedReader reports what is read of a layer.
type trackedReader struct {
	io.ReadCloser
	tracker *pullTracker
	layer   int
}

func (r *trackedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.tracker.advance(r.layer, int64(n))
	return n, err
}
