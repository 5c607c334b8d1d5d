package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"banger"
)

// pullProgress shows how far a pull is. report is called from one goroutine at a time, end
// once after the last report.
type pullProgress interface {
	report(banger.PullProgress)
	end()
}

// newPullProgress shows bars on a terminal and lines anywhere else.
func newPullProgress(w io.Writer) pullProgress {
	if screen := terminalFile(w); screen != nil {
		return newPullBars(screen)
	}
	return &pullLines{to: w, last: map[int]pullQuarter{}}
}

// pullLines prints a line for each stage of each layer, and for each quarter of its bytes.
type pullLines struct {
	to   io.Writer
	last map[int]pullQuarter // by layer
}

type pullQuarter struct {
	stage   banger.PullStage
	quarter int64
}

func (l *pullLines) report(p banger.PullProgress) {
	now := pullQuarter{stage: p.Stage}
	if p.TotalBytes > 0 {
		now.quarter = min(4, max(0, p.Bytes)*4/p.TotalBytes)
	}
	if before, ok := l.last[p.Layer]; ok && now == before {
		return
	}
	l.last[p.Layer] = now
	fmt.Fprintf(l.to, "%6.1fs  %s\n", (time.Duration(p.ElapsedMS) * time.Millisecond).Seconds(), formatPull(p))
}

func (l *pullLines) end() {}

// formatPull says in a line what a pull does.
func formatPull(p banger.PullProgress) string {
	if p.Layer == 0 {
		return safe(string(p.Stage))
	}
	line := fmt.Sprintf("layer %d/%d %s", p.Layer, p.Layers, safe(string(p.Stage)))
	if p.Stage != banger.PullFetching && p.Stage != banger.PullUnpacking {
		return line
	}
	line += fmt.Sprintf(" %s of %s", formatBytes(max(0, p.Bytes)), formatBytes(p.TotalBytes))
	if p.BytesPerSecond > 0 {
		line += fmt.Sprintf(", %s/s", formatBytes(p.BytesPerSecond))
	}
	return line
}

// pullBars draws a bar for each layer that is being fetched or unpacked; mpb draws them from
// a goroutine of its own, which ends with end.
type pullBars struct {
	bars   *mpb.Progress
	layers map[int]*pullBar
}

type pullBar struct {
	bar   *mpb.Bar
	stage banger.PullStage
}

func newPullBars(w io.Writer) *pullBars {
	return &pullBars{bars: mpb.New(mpb.WithOutput(w), mpb.WithWidth(30), mpb.WithAutoRefresh()), layers: map[int]*pullBar{}}
}

func (b *pullBars) report(p banger.PullProgress) {
	at := b.layers[p.Layer]
	if at != nil && at.stage != p.Stage {
		at.bar.Abort(true)
		at = nil
		delete(b.layers, p.Layer)
	}
	if p.Layer == 0 || p.Stage != banger.PullFetching && p.Stage != banger.PullUnpacking {
		return
	}
	if at == nil {
		at = &pullBar{stage: p.Stage, bar: b.bars.AddBar(max(p.TotalBytes, 1)+1, // a full bar would end
			mpb.PrependDecorators(decor.Name(fmt.Sprintf("layer %d/%d %-10s", p.Layer, p.Layers, safe(string(p.Stage))))),
			mpb.AppendDecorators(
				decor.Current(decor.SizeB1024(0), " % .1f", decor.WC{W: 12}),
				decor.AverageSpeed(decor.SizeB1024(0), " % .1f", decor.WC{W: 14}),
			),
		)}
		b.layers[p.Layer] = at
	}
	at.bar.SetCurrent(max(0, p.Bytes))
}

func (b *pullBars) end() {
	for _, l := range b.layers {
		l.bar.Abort(true)
	}
	b.bars.Wait()
}
