package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionWaitCommand() *cobra.Command {
	cmd := c.sessionCmd("wait", "Wait until a session has ended, and exit with its status",
		`Wait until a session has ended, and exit with its status: the command's own,
or 128+n if signal n ended it. One that has ended already is not waited for.`)
	timeout := cmd.Flags().Duration("timeout", 0, "give up after this time, with exit status 124 (default: never)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *timeout < 0 {
			return usagef("--timeout %s is negative", *timeout)
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
	if timeout == 0 {
		return c.Backend.Services().Sessions.WaitSession(ctx, vm, session)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s, err := c.Backend.Services().Sessions.WaitSession(limited, vm, session)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return s, banger.Errorf(banger.CodeTimeout, "cannot wait for session %q: it has not ended after %s", session, timeout)
	}
	return s, err
}
