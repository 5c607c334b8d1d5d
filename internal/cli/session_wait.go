package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionWaitCommand() *cobra.Command {
	cmd := c.sessionCmd("wait", "Wait for a session to end and exit with its status, or for a match in its output",
		`Wait for a session to end and exit with its status: the command's own, or 128+n if
signal n ended it. Returns at once if the session has already ended.

With --match, wait until a line of its output matches a regular expression (RE2), print
the stream and the offset of the match, and exit with 0. Output written before the call
is searched too, beginning at --from. $ matches the end of a complete line; omit it for a
prompt without a trailing newline.`)
	cmd.Example = `  banger session wait dev build
  banger session wait dev server --match 'listening on .*' --timeout 30s`
	match := c.matchFlags(cmd, "match")
	from := startPoint{text: "start", start: true}
	cmd.Flags().Var(&from, "from", "with --match: begin at this byte of stdout (or STDOUT,STDERR), at the start, or with output written from now on")
	timeout := cmd.Flags().Duration("timeout", 0, "give up after this time and exit with status 124 (default: never)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *timeout < 0:
			return usagef("--timeout %s is negative", *timeout)
		case match.pattern == "" && (cmd.Flags().Changed("from") || cmd.Flags().Changed("stream")):
			return usagef("--from and --stream need --match")
		case match.pattern != "":
			return c.waitMatch(cmd.Context(), args[0], args[1], match, from, *timeout, *asJSON)
		}
		s, err := c.waitSession(cmd.Context(), args[0], args[1], *timeout)
		if err != nil {
			return err
		}
		if *asJSON {
			if err := c.printJSON(s); err != nil {
				return err
			}
		}
		return sessionError(s)
	}
	return cmd
}

// waitSession waits for the end of a session; a timeout of 0 is none.
func (c *CLI) waitSession(ctx context.Context, vm, session string, timeout time.Duration) (banger.Session, error) {
	return within(ctx, timeout, fmt.Sprintf("cannot wait for session %q: it has not ended", session), func(ctx context.Context) (banger.Session, error) {
		return c.Backend.Services().Sessions.WaitSession(ctx, vm, session)
	})
}

// within bounds a wait; a timeout of 0 is none. what begins the message if it runs out.
func within[R any](ctx context.Context, timeout time.Duration, what string, wait func(context.Context) (R, error)) (R, error) {
	if timeout == 0 {
		return wait(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := wait(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return result, banger.Errorf(banger.CodeTimeout, "%s after %s", what, timeout)
	}
	return result, err
}
