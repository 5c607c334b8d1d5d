package cli

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"banger"
)

// progress shows how far a build is. report is called from one goroutine at a
// time, end once after the last report.
type progress interface {
	report(banger.BuildProgress)
	end(ok bool)
}

// newProgress shows a bar on a terminal and lines anywhere else.
func newProgress(w io.Writer) progress {
	if screen := terminalFile(w); screen != nil {
		return newBarProgress(screen) // a bar moves the cursor
	}
	return &lineProgress{to: w}
}

// lineProgress prints a line for each stage and for each tenth of the whole.
type lineProgress struct {
	to    io.Writer
	stage string
	tenth int
}

func (p *lineProgress) report(b banger.BuildProgress) {
	tenth := max(p.tenth, int(b.Percent/10))
	if b.Stage == p.stage && tenth == p.tenth {
		return
	}
	p.stage, p.tenth = b.Stage, tenth
	fmt.Fprintln(p.to, formatProgress(b))
}

func (p *lineProgress) end(bool) {}

func formatProgress(b banger.BuildProgress) string {
	percent := "   -"
	if b.Percent >= 0 {
		percent = fmt.Sprintf("%3.0f%%", b.Percent)
	}
	line := fmt.Sprintf("%6.1fs %s  %s", elapsed(b).Seconds(), percent, safe(b.Stage))
	if b.Detail != "" {
		line += ": " + safe(b.Detail)
	}
	return line
}

// barProgress draws one bar; mpb draws it from a goroutine of its own, which
// ends with end.
type barProgress struct {
	bars   *mpb.Progress
	bar    *mpb.Bar
	latest atomic.Pointer[banger.BuildProgress]
}

func newBarProgress(w io.Writer) *barProgress {
	p := &barProgress{}
	p.latest.Store(&banger.BuildProgress{Stage: "waiting"})
	p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithAutoRefresh())
	p.bar = p.bars.AddBar(100,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%-20s", safe(p.latest.Load().Stage))
		})),
		mpb.AppendDecorators(
			decor.Percentage(decor.WC{W: 5}),
			decor.Any(func(decor.Statistics) string {
				return fmt.Sprintf(" %s", elapsed(*p.latest.Load()).Round(time.Second))
			}),
		),
	)
	return p
}

func (p *barProgress) report(b banger.BuildProgress) {
	p.latest.Store(&b)
	// A full bar would end it; that is for end to do.
	p.bar.SetCurrent(min(99, max(p.bar.Current(), int64(b.Percent))))
}

func (p *barProgress) end(ok bool) {
	if ok {
		p.bar.SetCurrent(100)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}

func elapsed(b banger.BuildProgress) time.Duration {
	return time.Duration(b.ElapsedMS) * time.Millisecond
}
