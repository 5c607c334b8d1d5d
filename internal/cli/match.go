package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/linematch"
)

// matchOptions say what to look for in a session's output.
type matchOptions struct {
	pattern string
	stream  *oneOf
}

// matchFlags adds the flags of a match; name is that of the one with the pattern.
func (c *CLI) matchFlags(cmd *cobra.Command, name string) *matchOptions {
	m := &matchOptions{}
	cmd.Flags().StringVar(&m.pattern, name, "", "wait until a line of the output matches this `REGEX` (RE2)")
	m.stream = addChoice(cmd, "stream", "output to match",
		string(banger.StreamBoth), string(banger.StreamStdout), string(banger.StreamStderr))
	return m
}

func (m *matchOptions) request(from *banger.LogCursor) banger.MatchRequest {
	return banger.MatchRequest{Pattern: m.pattern, Stream: banger.Stream(m.stream.value), Cursor: from}
}

// waitMatch is session wait with a match.
func (c *CLI) waitMatch(ctx context.Context, vm, session string, m *matchOptions, from startPoint, timeout time.Duration, asJSON bool) error {
	if _, err := linematch.Compile(m.request(nil)); err != nil {
		return err
	}
	x, err := c.Backend.Services().Sessions.GetSession(ctx, vm, session)
	if err != nil {
		return err
	}
	begin, err := c.startOf(ctx, x, from)
	if err == nil && begin == nil { // now
		begin = &banger.LogCursor{}
		*begin, err = c.endOf(ctx, x)
	}
	if err != nil {
		return err
	}
	return c.printMatch(ctx, x, m.request(begin), timeout, asJSON)
}

// printMatch waits for a match and prints where it is; a timeout of 0 is none.
func (c *CLI) printMatch(ctx context.Context, x banger.Session, r banger.MatchRequest, timeout time.Duration, asJSON bool) error {
	match, err := within(ctx, timeout, fmt.Sprintf("no match in the output of session %q", x.Name), func(ctx context.Context) (banger.Match, error) {
		return c.Backend.Services().Streams.MatchSession(ctx, string(x.VMID), string(x.ID), r)
	})
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(match)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s %d\n", match.Stream, match.Offset)
	return err
}
