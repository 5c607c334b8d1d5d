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
		`Print what a session wrote: its stdout to stdout, its stderr to stderr, each in order.
Writes to different streams keep their order if they are about a millisecond apart;
closer ones may be swapped, since two pipes have no common order.

Every byte is printed unchanged to a file or pipe. On a terminal, control characters are
shown as visible escapes, because a session is not trusted (--raw: unchanged).

To poll without losing a byte, use --json --limit BYTES and pass the offset in "next" of
the last line as the next --from, with its epoch as --epoch.

`+whenHelp)
	cmd.Example = `  banger session logs dev build --since 10m
  banger session logs dev server -f --grep 'error|panic' --timestamps`
	flags := cmd.Flags()
	lines := lineCount(banger.DefaultLogLines)
	flags.VarP(&lines, "lines", "n", "print this many lines from the end, or all")
	from := flags.Int64("from", 0, "print from this byte `OFFSET` of --stream to the end, instead of the last lines")
	epoch := flags.String("epoch", "", "`EPOCH` in which --from counts, from \"next\" (default: the one in which the session began)")
	limit := flags.Int64("limit", 0, "print at most this many `BYTES` (default: no limit)")
	follow := flags.BoolP("follow", "f", false, "keep printing until the session ends")
	stream := addChoice(cmd, "stream", "output to print",
		string(banger.StreamBoth), string(banger.StreamStdout), string(banger.StreamStderr))
	timestamps := flags.Bool("timestamps", false, "prefix each line with the time at which it began")
	asJSON := flags.Bool("json", false, "print chunks of output as JSON, one per line, then the offsets at which to continue")
	since, until := addMoments(flags)
	grep := flags.String("grep", "", "print only lines that match this `REGEX` (RE2), of all output unless limited by other flags")
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
			return usagef("--limit must be at least 1, not %d", *limit)
		}
		if flags.Changed("from") {
			if r.Stream == banger.StreamBoth || *from < 0 {
				return usagef("--from takes a non-negative byte offset in one stream: add --stream stdout or --stream stderr")
			}
			r.From, r.Epoch = from, banger.Epoch(*epoch)
		} else if *epoch != "" {
			return usagef("--epoch needs --from")
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

// logPrinter writes chunks of a session's output to our stdout and stderr. It is used
// by one goroutine.
type logPrinter struct {
	stdout, stderr logOutput
	notices        io.Writer
}

// logOutput is where one stream goes.
type logOutput struct {
	to         io.Writer
	timestamps bool
	midLine    bool // the last byte written was not a newline
	// lines says that the chunks are lines and some are left out: a line without a
	// newline gets one, unless the next chunk continues it.
	lines bool
	at    int64 // with lines: the position after the last chunk
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

// printGap reports what is missing from the output.
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

// endLine terminates a line that the output has left open.
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
		return fmt.Errorf("%q is not a number of lines or all", text)
	}
	*n = lineCount(v)
	return nil
}
