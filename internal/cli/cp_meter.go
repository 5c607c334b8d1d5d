package cli

import (
	"fmt"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"banger/internal/transfer"
)

// copyMeter shows how far a copy is, on a terminal; anywhere else it shows nothing. mpb draws
// it from a goroutine of its own, which ends with end.
type copyMeter struct {
	of    *transfer.Progress
	began time.Time
	bars  *mpb.Progress // nil: nothing is shown
	bar   *mpb.Bar
}

// startMeter begins to show a copy, unless its output is what is on the terminal.
func (p *copying) startMeter(target place) *copyMeter {
	m := &copyMeter{of: p.progress, began: time.Now()}
	screen := terminalFile(p.cli.Stderr)
	if p.quiet || screen == nil || target == (place{path: "-"}) && isTerminal(p.cli.Stdout) {
		return m
	}
	m.bars = mpb.New(mpb.WithOutput(screen), mpb.WithAutoRefresh())
	m.bar = m.bars.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return m.line() })))
	return m
}

// line says how far it is.
func (m *copyMeter) line() string {
	bytes, total := m.of.Bytes.Load(), m.of.Total.Load()
	line := fmt.Sprintf("%d files, %s", m.of.Files.Load(), formatBytes(bytes))
	if total > 0 {
		line = fmt.Sprintf("%3d%%  %s of %s", min(100, bytes*100/total), formatBytes(bytes), formatBytes(total))
	}
	resumed := m.of.Resumed.Load()
	if seconds := time.Since(m.began).Seconds(); seconds >= 0.1 {
		line += fmt.Sprintf(", %s/s", formatBytes(int64(float64(bytes-resumed)/seconds)))
	}
	if resumed > 0 {
		line += fmt.Sprintf(" (%s were there)", formatBytes(resumed))
	}
	return line
}

// end leaves the last line on the terminal.
func (m *copyMeter) end(ok bool) {
	if m.bars == nil {
		return
	}
	if ok {
		m.bar.SetTotal(-1, true)
	} else {
		m.bar.Abort(false)
	}
	m.bars.Wait()
}
