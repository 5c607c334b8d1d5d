package banger_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"banger"
)

// figures are the values of banger in the committed table of the benchmark, by measure
// and place.
func figures(t *testing.T) func(measure, place string) string {
	t.Helper()
	table, err := os.ReadFile("bench/results/table.md")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(table)) {
		if cells := strings.Split(line, " | "); len(cells) > 2 {
			values[strings.TrimPrefix(cells[0], "| ")+"|"+cells[1]] = cells[2]
		}
	}
	return func(measure, place string) string {
		value := values[measure+"|"+place]
		if value == "" {
			t.Errorf("bench/results/table.md has no %s at %s", measure, place)
		}
		return value
	}
}

func TestDocs_FiguresAreThoseOfTheCommittedBenchmark(t *testing.T) {
	page, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	figure := figures(t)
	want := []string{
		"Listing 1,000 sessions takes " + figure("list of 1000 sessions", "host, sessions=1000"),
		"An idle session takes " + figure("memory of an idle session", "host"),
		fmt.Sprintf("(`--log-limit`, %d MiB)", banger.DefaultLogLimit>>20),
	}
	for n, name := range map[int]string{100: "100", 1000: "1,000"} {
		var cells []string
		for _, place := range []string{"host", "guest"} {
			at := fmt.Sprintf("%s, sessions=%d", place, n)
			cells = append(cells, figure(fmt.Sprintf("session start, %d sessions", n), at), figure(fmt.Sprintf("daemon restart, %d sessions", n), at))
		}
		want = append(want, "| "+name+" | "+strings.Join(cells, " | ")+" |")
	}
	for _, text := range want {
		if !strings.Contains(string(page), text) {
			t.Errorf("docs/ARCHITECTURE.md does not say %q", text)
		}
	}
}
