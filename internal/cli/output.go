package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print the API's own objects as JSON")
}

// printJSON prints one value, indented.
func (c *CLI) printJSON(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printJSONList is printJSON for a list; none is [], not null.
func printJSONList[T any](c *CLI, list []T) error {
	if list == nil {
		list = []T{}
	}
	return c.printJSON(list)
}

// printJSONLine prints one value of a stream on a line of its own.
func (c *CLI) printJSONLine(v any) error {
	enc := json.NewEncoder(c.Stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows in aligned columns. Every cell is neutralised; an empty one
// is shown as a dash, so that a row always has the same number of words.
func table(w io.Writer, header []string, rows [][]string) error {
	return aligned(w, func(w io.Writer) {
		fmt.Fprintln(w, strings.Join(header, "\t"))
		for _, row := range rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = orDash(safe(cell))
			}
			fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
	})
}

// aligned aligns what print writes in columns, which tabs end.
func aligned(w io.Writer, print func(io.Writer)) error {
	out := bufio.NewWriter(w) // a tabwriter writes each cell by itself
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	print(columns)
	return errors.Join(columns.Flush(), out.Flush())
}

// field is one line of what show prints.
type field struct{ name, value string }

// printFields prints the fields that have a value, aligned. A value of several
// lines goes on under its first.
func printFields(w io.Writer, fields []field) error {
	return aligned(w, func(w io.Writer) {
		for _, f := range fields {
			if f.value == "" {
				continue
			}
			name := f.name
			for line := range strings.SplitSeq(strings.TrimRight(f.value, "\n"), "\n") {
				fmt.Fprintf(w, "%s\t%s\n", name, safe(line))
				name = ""
			}
		}
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// formatTime shows a time in the user's zone, "" for none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// isTerminal reports whether a stream of this process is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// untrusted returns where bytes of a guest are written to: as they are into a
// file or pipe, neutralised onto a terminal. The second result writes what is
// still kept back.
func untrusted(w io.Writer) (io.Writer, func() error) {
	if !isTerminal(w) {
		return w, func() error { return nil }
	}
	s := &safeWriter{to: w}
	return s, s.Flush
}
