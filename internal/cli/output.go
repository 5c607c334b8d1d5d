package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// firstFailure writes until that fails once, and remembers why: what was meant to be printed and
// is not makes any command fail, whether it looks at each write or not. Safe for concurrent
// use.
type firstFailure struct {
	to io.Writer

	mu  sync.Mutex // guards err
	err error
}

// Write implements io.Writer. What follows a failure would be a text with a hole.
func (o *firstFailure) Write(p []byte) (int, error) {
	if err := o.failure(); err != nil {
		return 0, err
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.err = err
	}
	return n, err
}

func (o *firstFailure) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("json", false, "print the API objects as JSON")
}

// printJSON prints one value, indented.
func (c *CLI) printJSON(v any) error {
	return c.encodeJSON(v, "  ")
}

// encodeJSON prints one value and a newline. On a terminal its text is the same JSON
// without characters that the terminal would interpret.
func (c *CLI) encodeJSON(v any, indent string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	out := text.Bytes()
	if isTerminal(c.Stdout) {
		out = printableJSON(out)
	}
	_, err := c.Stdout.Write(out)
	return err
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
	return c.encodeJSON(v, "")
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
	if err := columns.Flush(); err != nil {
		return err // Flush would only repeat it
	}
	return out.Flush()
}

// field is one line of what show prints.
type field struct{ name, value string }

// printFields prints the fields that have a value, aligned. A value of several
// lines continues under its first.
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
