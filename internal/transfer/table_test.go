package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documented returns the rows of a table of docs/COPY.md, without code marks.
func documented(t *testing.T, head string) (rows [][]string) {
	t.Helper()
	data, err := os.ReadFile("../../docs/COPY.md")
	must(t, err)
	_, table, ok := strings.Cut(string(data), "| "+head+" |")
	if !ok {
		t.Fatalf("there is no table of %s", head)
	}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			row = append(row, strings.ReplaceAll(strings.TrimSpace(cell), "`", ""))
		}
		if !strings.HasPrefix(row[0], "---") {
			rows = append(rows, row)
		}
	}
	return rows
}

// shapes makes one of everything that a source or a target can be.
func shapes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir+"/file", "old")
	write(t, dir+"/dir/x", "in it")
	must(t, os.Symlink("file", dir+"/link-to-file"), os.Symlink("dir", dir+"/link-to-dir"), os.Symlink("nowhere", dir+"/dangling"))
	return dir
}

func TestTarget_IsWhatTheTableSays(t *testing.T) {
	rows := documented(t, "TARGET")
	if len(rows) != 12 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		for _, row := range rows {
			for i, form := range []string{"file", "directory"} {
				from, to := filepath.Join(t.TempDir(), "s"), shapes(t)
				if form == "file" {
					write(t, from, "new")
				} else {
					write(t, from+"/marker", "new")
				}
				before := listing(t, to)
				_, err := cp(from, to+"/"+row[0], Request{})
				got := foundAt(t, to, form)
				if err != nil {
					if got = "refused"; listing(t, to) != before {
						t.Errorf("a refused copy of a %s to %s leaves\n%s", form, row[0], listing(t, to))
					}
				}
				if got != row[1+i] {
					t.Errorf("a %s to %s is at %s, not %s: %v", form, row[0], got, row[1+i], err)
				}
				for _, link := range []string{"link-to-file", "link-to-dir", "dangling"} {
					if _, err := os.Readlink(filepath.Join(to, link)); err != nil {
						t.Errorf("after a copy of a %s to %s: %v", form, row[0], err)
					}
				}
			}
		}
	})
}

// foundAt returns where a copy is, below dir.
func foundAt(t *testing.T, dir, form string) string {
	t.Helper()
	for line := range strings.SplitSeq(listing(t, dir), "\n") {
		if place, ok := strings.CutSuffix(line, ` "new"`); ok {
			if form == "directory" {
				place = strings.TrimSuffix(place, "/marker")
			}
			return place
		}
	}
	return "nowhere"
}

func TestSource_IsWhatTheTableSays(t *testing.T) {
	rows := documented(t, "SOURCE")
	if len(rows) != 11 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	bothWays(t, func(t *testing.T, cp func(string, string, Request) (Result, error)) {
		for _, row := range rows {
			for i, follow := range []bool{false, true} {
				from, to := shapes(t), t.TempDir()
				_, err := cp(from+"/"+row[0], to, Request{Follow: follow})
				name := strings.TrimSuffix(row[0], "/")
				var got string
				switch listing(t, to) {
				case "":
					got = "refused"
				case name + ` "old"`, name + "/\n" + name + `/x "in it"`:
					_, isFile := os.ReadFile(filepath.Join(to, name))
					got = map[bool]string{true: name, false: name + "/"}[isFile == nil]
					if strings.HasPrefix(name, "link") {
						got += map[bool]string{true: ", a file", false: ", a directory"}[isFile == nil]
					}
				case `x "in it"`:
					got = "what is in it"
				case fmt.Sprintf("%s -> %s", name, map[string]string{"link-to-file": "file", "link-to-dir": "dir", "dangling": "nowhere"}[name]):
					got = "the link"
				}
				if got != row[1+i] || (err != nil) != (got == "refused") {
					t.Errorf("%s with follow %t is %q, not %q: %v\n%s", row[0], follow, got, row[1+i], err, listing(t, to))
				}
			}
		}
	})
}
