package cli

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/linematch"
)

func (c *CLI) sessionLogsCommand() *cobra.Command {
	cmd := c.sessionCmd("logs", "Print what a session wrote",
		`Print what a session wrote: its stdout to stdout, its stderr to stderr, each in the
order in which it was written. Between the two, the order is kept of writes that are
about a millisecond apart; closer ones may be swapped, since two pipes hold no order.
Into a file or pipe every byte is printed as it is; on a
terminal, control characters are made visible, since a session is not trusted (--raw:
as they are).

A program that polls without losing a byte: --json --limit BYTES, and --from the
offset that the last line has in "next".

`+whenHelp)
	cmd.Example = `  banger session logs dev build --since 10m
  banger session logs dev server -f --grep 'error|panic' --timestamps`
	flags := cmd.Flags()
	lines := lineCount(banger.DefaultLogLines)
	flags.VarP(&lines, "lines", "n", "how many lines from the end, or all")
	from := flags.Int64("from", 0, "print from this byte of --stream to the end, instead of lines")
	limit := flags.Int64("limit", 0, "print at most so many bytes (default: no limit)")
	follow := flags.BoolP("follow", "f", false, "go on until the session has ended")
	stream := addChoice(cmd, "stream", "which output",
		string(banger.StreamBoth), string(banger.StreamStdout), string(banger.StreamStderr))
	timestamps := flags.Bool("timestamps", false, "begin each line with the time at which it was begun")
	asJSON := flags.Bool("json", false, "print the pieces of output as JSON, one a line, and last where the next ones begin")
	since, until := addMoments(flags)
	grep := flags.String("grep", "", "only the lines that match this regular expression (RE2), of all the output unless told otherwise")
	cmd.MarkFlagsMutuallyExclusive("lines", "from", "since")
	raw := rawFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("timestamps", "json")
	cmd.MarkFlagsMutuallyExclusive("raw", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := banger.LogRequest{Stream: banger.Stream(stream.value), Lines: int(lines), Follow: *follow, Limit: *limit,
			Since: since.Time, Until: until.Time, Grep: *grep}
		if !flags.Changed("lines") && (r.Grep != "" || !r.Until.IsZero()) {
			r.Lines = allLines
		}
		if *limit < 0 || flags.Changed("limit") && *limit == 0 {
			return usagef("--limit %d is no number of bytes above zero", *limit)
		}
		if flags.Changed("from") {
			if r.Stream == banger.StreamBoth || *from < 0 {
				return usagef("--from needs a byte offset of one stream: --stream stdout or --stream stderr, and no negative number")
			}
			r.From = from
		}
		if _, err := linematch.CompileFilter(r.Grep); err != nil {
			return err
		}
		printer := newLogPrinter(c, *timestamps, *raw)
		printer.stdout.lines, printer.stderr.lines = r.Grep != "", r.Grep != ""
		print := printer.print
		if *asJSON {
			print = func(chunk banger.LogChunk) error { return c.printJSONLine(chunk) }
		}
		end, err := c.Backend.Services().Streams.ReadLogs(cmd.Context(), args[0], args[1], r, print)
		if flushErr := printer.end(); err == nil {
			err = flushErr
		}
		if err == nil && *asJSON {
			err = c.printJSONLine(end)
		}
		return err
	}
	return cmd
}

// logPrinter writes the pieces of a session's output to our own two outputs. It
// is used by one goroutine.
type logPrinter struct {
	stdout, stderr logOutput
	notices        io.Writer
}

// logOutput is where one stream goes.
type logOutput struct {
	to         io.Writer
	timestamps bool
	midLine    bool // the last byte written was not a newline
	// lines says that the pieces are lines, of which some are left out: one without
	// an end gets one, unless the next piece goes on with it.
	lines bool
	at    int64 // with lines: the position behind the last piece
}

func newLogPrinter(c *CLI, timestamps, raw bool) *logPrinter {
	p := &logPrinter{notices: c.Stderr}
	p.stdout.to, p.stderr.to = guestOutput(c.Stdout, raw), guestOutput(c.Stderr, raw)
	p.stdout.timestamps, p.stderr.timestamps = timestamps, timestamps
	return p
}

func (p *logPrinter) print(chunk banger.LogChunk) error {
	out := &p.stdout
	if chunk.Stream == banger.StreamStderr {
		out = &p.stderr
	}
	if chunk.Gap > 0 {
		if err := p.flush(); err != nil {
			return err
		}
		return printGap(p.notices, chunk.Stream, chunk.Gap, chunk.Reason)
	}
	return out.print(chunk)
}

// printGap says what is missing from the output.
func printGap(w io.Writer, stream banger.Stream, n int64, reason string) error {
	_, err := fmt.Fprintf(w, "banger: %d bytes of %s are missing here: %s\n", n, stream, safe(reason))
	return err
}

func (p *logPrinter) flush() error {
	if err := flush(p.stdout.to); err != nil {
		return err
	}
	return flush(p.stderr.to)
}

// end is flush when nothing more will come.
func (p *logPrinter) end() error {
	if err := p.stdout.endLine(); err != nil {
		return err
	}
	if err := p.stderr.endLine(); err != nil {
		return err
	}
	return p.flush()
}

func (o *logOutput) print(chunk banger.LogChunk) error {
	if chunk.Offset != o.at {
		if err := o.endLine(); err != nil {
			return err
		}
	}
	data := chunk.Data
	if o.timestamps {
		data = o.stamp(chunk)
	}
	if _, err := o.to.Write(data); err != nil {
		return fmt.Errorf("cannot print log: %w", err)
	}
	o.at = chunk.Offset + int64(len(chunk.Data))
	o.midLine = !bytes.HasSuffix(chunk.Data, []byte("\n"))
	return nil
}

// endLine ends a line that the output has left without an end.
func (o *logOutput) endLine() error {
	if !o.lines || !o.midLine {
		return nil
	}
	o.midLine = false
	if _, err := o.to.Write([]byte("\n")); err != nil {
		return fmt.Errorf("cannot print log: %w", err)
	}
	return nil
}

// stamp returns the chunk's data with its time before each line that begins in it.
func (o *logOutput) stamp(chunk banger.LogChunk) []byte {
	stamp := formatStamp(chunk.Time)
	var out []byte
	for line := range bytes.Lines(chunk.Data) {
		if !o.midLine {
			out = append(append(out, stamp...), ' ')
		}
		out = append(out, line...)
		o.midLine = line[len(line)-1] != '\n'
	}
	return out
}

// formatStamp shows when something was written, to the microsecond; "-" if that is not
// known.
func formatStamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000Z")
}

// lineCount is the value of --lines: a number, or all as in LogRequest.Lines.
type lineCount int

const allLines = -1

// String implements pflag.Value.
func (n *lineCount) String() string {
	if *n < 0 {
		return "all"
	}
	return strconv.Itoa(int(*n))
}

// Type implements pflag.Value; it is what --help shows.
func (n *lineCount) Type() string { return "N|all" }

// Set implements pflag.Value.
func (n *lineCount) Set(text string) error {
	if text == "all" {
		*n = allLines
		return nil
	}
	v, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is neither a number of lines nor all", text)
	}
	*n = lineCount(v)
	return nil
}
