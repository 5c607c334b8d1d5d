package bench

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"banger/internal/files"
)

// report makes of all results what people and programs read, and prints the table.
func report() error {
	all, err := results()
	if err != nil {
		return err
	}
	text := table(all)
	fmt.Print("\n", text)
	return errors.Join(write("table.md", text), write("samples.txt", samples(all)), draw(all))
}

func write(name, text string) error {
	return files.Write(filepath.Join(resultsDir, name), []byte(text), 0o644)
}

// table has each comparison in a row.
func table(all []measure) string {
	var text strings.Builder
	text.WriteString("| measure | place | banger | compared with | | ratio | goal | |\n| --- | --- | ---: | --- | ---: | ---: | ---: | --- |\n")
	for _, m := range all {
		for _, v := range m.Verdicts {
			met := "missed"
			if v.Met {
				met = "met"
			}
			fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", v.What, m.where(),
				m.format(v.Ours.Value), v.Theirs.Of, m.format(v.Theirs.Value), number(v.Ratio), v.Goal, met)
		}
	}
	return text.String()
}

// samples has each sample in a line, in the format of Go's benchmarks.
func samples(all []measure) string {
	var text strings.Builder
	text.WriteString("goos: linux\npkg: banger/bench\nUnit B/s better=higher\n")
	for _, m := range all {
		name := "Benchmark" + m.Name + "/place=" + m.Place
		if m.Level != "" {
			name += "/" + m.Level
		}
		for _, s := range m.Series {
			for _, v := range s.Samples {
				fmt.Fprintf(&text, "%s/peer=%s 1 %s %s\n", name, s.Peer, strconv.FormatFloat(v, 'f', -1, 64), m.Unit)
			}
		}
	}
	return text.String()
}

// where is the place, and what else tells the measure from others of its name.
func (m *measure) where() string {
	if m.Level == "" {
		return m.Place
	}
	return m.Place + ", " + m.Level
}

// scale returns by what samples are divided for people, and the unit that makes.
func (m *measure) scale() (unit float64, name string) {
	switch m.Unit {
	case "ns/op":
		return 1e6, "ms"
	case "B/s":
		return 1e6, "MB/s"
	case "B":
		return 1 << 20, "MiB"
	case "cpu-ns/GiB":
		return 1e9, "CPU s/GiB"
	case "cpu-ns/min":
		return 1e6, "CPU ms"
	case "switches/min":
		return 1, "wake-ups"
	default:
		return 1, m.Unit
	}
}

// format returns a number of the measure for people.
func (m *measure) format(v float64) string {
	unit, name := m.scale()
	return number(v/unit) + " " + name
}

// number has three digits that count.
func number(v float64) string {
	if v >= 100 || v == 0 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// byName sorts measures as the table has them, whatever was measured last.
func byName(a, b measure) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Place, b.Place), cmp.Compare(len(a.Level), len(b.Level)), cmp.Compare(a.Level, b.Level))
}
