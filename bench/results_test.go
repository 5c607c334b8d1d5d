package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"banger/internal/files"
)

// resultsDir is where all results are kept, each until it is measured anew.
const resultsDir = "results"

// measure is one thing that was measured in one place.
type measure struct {
	Name     string    `json:"name"`
	Title    string    `json:"title"`
	Place    string    `json:"place"`
	Level    string    `json:"level,omitempty"` // such as "sessions=1000"
	Unit     string    `json:"unit"`            // of the samples, as benchstat(1) has them
	Measured time.Time `json:"measured"`
	Machine  versions  `json:"machine"`
	Series   []series  `json:"series"`
	Verdicts []verdict `json:"verdicts"`
}

// verdict is a comparison with its goal.
type verdict struct {
	What   string   `json:"what"`
	Ours   quantity `json:"ours"`
	Theirs quantity `json:"theirs"`
	Ratio  float64  `json:"ratio"`
	Goal   string   `json:"goal"`
	Met    bool     `json:"met"`
}

// quantity is a number of a contender.
type quantity struct {
	Of    string  `json:"of"`
	Value float64 `json:"value"`
}

// of returns a quantile of a contender.
func (m *measure) of(peer string, q float64) quantity {
	at := slices.IndexFunc(m.Series, func(s series) bool { return s.Peer == peer })
	return quantity{Of: fmt.Sprintf("%s p%g", peer, 100*q), Value: m.Series[at].quantile(q)}
}

// least returns the smallest of some contenders' quantiles.
func (m *measure) least(q float64, peers ...string) quantity {
	best := m.of(peers[0], q)
	for _, peer := range peers[1:] {
		if other := m.of(peer, q); other.Value < best.Value {
			best = other
		}
	}
	return best
}

// most returns the largest median of some contenders.
func (m *measure) most(peers ...string) quantity {
	best := m.of(peers[0], 0.5)
	for _, peer := range peers[1:] {
		if other := m.of(peer, 0.5); other.Value > best.Value {
			best = other
		}
	}
	return best
}

// fewer notes whether theirs is at least that factor times ours.
func (m *measure) fewer(what string, ours, theirs quantity, times float64) {
	ratio := theirs.Value / ours.Value
	m.Verdicts = append(m.Verdicts, verdict{what, ours, theirs, ratio, fmt.Sprintf("1/%g", times), ratio >= times})
}

// atMost notes whether ours is at most a factor times theirs.
func (m *measure) atMost(what string, ours, theirs quantity, limit float64) {
	ratio := ours.Value / theirs.Value
	m.Verdicts = append(m.Verdicts, verdict{what, ours, theirs, ratio, fmt.Sprintf("≤ %g", limit), ratio <= limit})
}

// atLeast notes whether ours is at least a factor times theirs.
func (m *measure) atLeast(what string, ours, theirs quantity, limit float64) {
	ratio := ours.Value / theirs.Value
	m.Verdicts = append(m.Verdicts, verdict{what, ours, theirs, ratio, fmt.Sprintf("≥ %g", limit), ratio >= limit})
}

// record keeps a measure in the place of the last one of its name, place and level.
func (m *measure) record(b *testing.B) {
	b.Helper()
	m.Measured, m.Machine = time.Now().UTC().Truncate(time.Second), thisMachine(b)
	all, err := results()
	if err != nil {
		b.Fatal(err)
	}
	same := func(o measure) bool { return o.Name == m.Name && o.Place == m.Place && o.Level == m.Level }
	if at := slices.IndexFunc(all, same); at >= 0 {
		all[at] = *m
	} else {
		all = append(all, *m)
	}
	slices.SortFunc(all, byName)
	data, err := encode(all)
	if err == nil {
		err = errors.Join(os.MkdirAll(resultsDir, 0o755), files.Write(resultsFile(), data, 0o644))
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range m.Series {
		b.Logf("%s %s %s %-10s p50 %s p99 %s n %d", m.Name, m.Place, m.Level, s.Peer,
			m.format(s.median()), m.format(s.quantile(0.99)), len(s.Samples))
	}
	for _, v := range m.Verdicts {
		b.Logf("  %s: %s %s, %s %s: %.2f, goal %s: %v", v.What, v.Ours.Of, m.format(v.Ours.Value), v.Theirs.Of, m.format(v.Theirs.Value), v.Ratio, v.Goal, v.Met)
	}
	b.ReportMetric(0, "ns/op") // the table says it
}

func resultsFile() string { return filepath.Join(resultsDir, "results.json") }

// results returns what is kept.
func results() (all []measure, err error) {
	data, err := os.ReadFile(resultsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	return all, err
}

// encode has each measure in one line.
func encode(all []measure) ([]byte, error) {
	var out bytes.Buffer
	for at, m := range all {
		line, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		out.WriteString(map[bool]string{true: "[\n", false: ",\n"}[at == 0])
		out.Write(line)
	}
	out.WriteString("\n]\n")
	return out.Bytes(), nil
}
