package cli

import (
	"bytes"
	"fmt"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/linematch"
)

func (c *CLI) sessionSearchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "search REGEX",
		Short: "Find matching lines in the output of all sessions",
		Long: `Find lines that match a regular expression (RE2) in the output of all sessions, or of
those selected by flags: in the guest of a running VM, on the disk of a stopped one.
Each match is printed as it is found: VM, session, stream, offset, time, line. Matches in
one session are in order; up to four VMs are searched in parallel.

To see the context of a line, print from its offset:

  banger session logs VM SESSION --stream STREAM --from OFFSET

The exit status is 0 if a line was found and 1 if not, like grep's. Sessions that could
not be searched are reported on stderr, and the exit status is then 3, whatever was found.

` + whenHelp,
		Example: `  banger session search 'panic: ' --since 24h
  banger session search 'time-?out' --vm dev --tag project=web --status failed`,
		Args:              argumentNames("REGEX"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	vms := flags.StringArray("vm", nil, "only sessions of this `VM`; repeatable")
	c.completeFlag(cmd, "vm", vmNames)
	tags := flags.StringArray("tag", nil, "only sessions with this tag `KEY=VALUE`; repeatable")
	status := addChoice(cmd, "status", "only sessions in this status", statusChoices()...)
	stream := addChoice(cmd, "stream", "output to search",
		string(banger.StreamBoth), string(banger.StreamStdout), string(banger.StreamStderr))
	since, until := addMoments(flags)
	limit := flags.Int("limit", 0, "stop after this many lines (default: no limit)")
	asJSON := flags.Bool("json", false, "print matches and failures as JSON, one per line, then a summary")
	raw := rawFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "raw")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := banger.SearchRequest{Pattern: args[0], VMs: *vms, Stream: banger.Stream(stream.value), Since: since.Time, Until: until.Time, Limit: *limit}
		if status.value != anyStatus {
			r.Status = banger.Status(status.value)
		}
		if *limit < 0 || flags.Changed("limit") && *limit == 0 {
			return usagef("--limit must be at least 1, not %d", *limit)
		}
		if _, err := linematch.CompileFilter(r.Pattern); err != nil {
			return err
		}
		var err error
		if r.Tags, err = pairs("--tag", *tags); err != nil {
			return err
		}
		print := func(result banger.SearchResult) error { return c.printResult(result, *raw) }
		if *asJSON {
			print = func(result banger.SearchResult) error { return c.printJSONLine(result) }
		}
		end, err := c.Backend.Services().Streams.SearchSessions(cmd.Context(), r, print)
		if err == nil && *asJSON {
			err = c.printJSONLine(end)
		}
		if err != nil {
			return err
		}
		return searchError(end)
	}
	return cmd
}

// printResult prints a line on stdout, as it is into a file or pipe, or on stderr what
// could not be searched.
func (c *CLI) printResult(r banger.SearchResult, raw bool) error {
	if r.Failure != nil {
		_, err := fmt.Fprintf(c.Stderr, "banger: %s\n", safeText(r.Failure.Error.Error()))
		return err
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(r.Hit.Line, []byte("\n")), []byte("\r"))
	_, err := fmt.Fprintf(guestOutput(c.Stdout, raw), "%s %s %s %d %s %s\n", safe(r.Hit.VM), safe(r.Hit.Session), r.Hit.Stream, r.Hit.Offset, formatStamp(r.Hit.Time), line)
	if err != nil {
		return fmt.Errorf("cannot print what was found: %w", err)
	}
	return nil
}

// searchError carries the exit status of a search.
func searchError(end banger.SearchEnd) error {
	switch {
	case end.Failures > 0:
		return statusError{exitPartly, fmt.Sprintf("%d of %d sessions could not be searched", end.Failures, end.Sessions)}
	case end.Lines == 0:
		return statusError{status: exitNothing}
	}
	return nil
}
