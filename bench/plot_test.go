package bench

import (
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// fewSamples is how many do not make a distribution worth drawing.
const fewSamples = 10

// mostSteps is how many steps of a distribution can be told apart.
const mostSteps = 200

// draw draws a measure into a file: how its samples are distributed, or with few of
// them their medians. Levels of one measure are drawn together.
func draw(all []measure) error {
	var err error
	for at, m := range all {
		if at > 0 && m.drawnWith(all[at-1]) {
			continue
		}
		for _, other := range all[at+1:] {
			if other.drawnWith(m) {
				m = m.with(other)
			}
		}
		err = errors.Join(err, m.draw())
	}
	return err
}

func (m *measure) drawnWith(o measure) bool { return m.Name == o.Name && m.Place == o.Place }

// with returns a measure with the samples of both.
func (m *measure) with(o measure) measure {
	both := *m
	both.Series = nil
	for _, from := range []measure{*m, o} {
		for _, s := range from.Series {
			if from.Level != "" {
				s.Peer += " (" + from.Level + ")"
			}
			both.Series = append(both.Series, s)
		}
	}
	both.Level = ""
	return both
}

func (m *measure) draw() error {
	p := plot.New()
	p.Title.Text = m.Title + " (" + m.Place + ")"
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	draw := m.drawDistributions
	if slices.ContainsFunc(m.Series, func(s series) bool { return len(s.Samples) < fewSamples }) {
		draw = m.drawMedians
	}
	if err := draw(p); err != nil {
		return err
	}
	file := strings.ToLower(m.Name) + "-" + m.Place + ".svg"
	return p.Save(18*vg.Centimeter, 11*vg.Centimeter, filepath.Join(resultsDir, file))
}

// drawDistributions draws which share of the samples is at most so large.
func (m *measure) drawDistributions(p *plot.Plot) error {
	unit, name := m.scale()
	p.X.Label.Text, p.Y.Label.Text = name, "share of samples that took at most so long"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	for at, s := range m.Series {
		sorted := slices.Sorted(slices.Values(s.Samples))
		var points plotter.XYs
		for n, v := range sorted {
			if n%max(1, len(sorted)/mostSteps) == 0 || n == len(sorted)-1 {
				points = append(points, plotter.XY{X: v / unit, Y: float64(n+1) / float64(len(sorted))})
			}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.StepStyle = plotter.PostStep
		line.Color, line.Dashes = plotutil.Color(at), plotutil.Dashes(at)
		line.Width = vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(s.Peer, line)
	}
	return nil
}

// drawMedians draws a bar for each contender.
func (m *measure) drawMedians(p *plot.Plot) error {
	unit, name := m.scale()
	p.Y.Label.Text, p.Y.Min = name, 0
	values, names := make(plotter.Values, len(m.Series)), make([]string, len(m.Series))
	for at, s := range m.Series {
		values[at], names[at] = s.median()/unit, strings.Replace(s.Peer, " (", "\n(", 1)
	}
	bars, err := plotter.NewBarChart(values, vg.Points(30))
	if err != nil {
		return err
	}
	bars.Color = plotutil.Color(0)
	p.Add(bars)
	p.NominalX(names...)
	return nil
}

// decades are ticks at 1, 2 and 5 times the powers of ten.
type decades struct{}

// Ticks implements plot.Ticker.
func (decades) Ticks(least, most float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Pow(10, math.Floor(math.Log10(least))); power <= most; power *= 10 {
		for _, times := range []float64{1, 2, 5} {
			if v := times * power; v >= least && v <= most {
				ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
			}
		}
	}
	return ticks
}
