package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/linematch"
)

func (c *CLI) sessionSendCommand() *cobra.Command {
	cmd := c.sessionCmd("send", "Write to a session's standard input",
		`Write to a session's standard input, byte for byte; no newline is added. Without
--data, send your own standard input until it ends; with only --eof on a terminal,
nothing is read and the session's stdin is closed.

A terminal in line mode, as in a new session with --tty, holds 4,095 bytes of a line and
drops the rest. A longer line is therefore refused; what preceded it has been accepted.
--raw-line sends it anyway, for a program that is about to leave line mode.`)
	cmd.Example = `  printf 'b\na\n' | banger session send dev sort --eof
  banger session send dev repl --data $'1+1\n' --then-wait-match '>>> '`
	data := cmd.Flags().String("data", "", "write this `TEXT` instead of your standard input")
	eof := cmd.Flags().Bool("eof", false, "close the session's standard input afterwards")
	rawLine := cmd.Flags().Bool("raw-line", false, "send long lines although a terminal in line mode truncates them, and count all of it as accepted")
	match := c.matchFlags(cmd, "then-wait-match")
	timeout := cmd.Flags().Duration("timeout", 0, "with --then-wait-match: give up after this time and exit with status 124 (default: never)")
	asJSON := cmd.Flags().Bool("json", false, "print the accepted byte count, or the match, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		waits := match.pattern != ""
		switch {
		case *timeout < 0:
			return usagef("--timeout %s is negative", *timeout)
		case !waits && (cmd.Flags().Changed("timeout") || cmd.Flags().Changed("stream")):
			return usagef("--timeout and --stream need --then-wait-match")
		}
		r := banger.SendRequest{EOF: *eof, Data: c.Stdin, RawLine: *rawLine}
		switch {
		case cmd.Flags().Changed("data"):
			r.Data = strings.NewReader(*data)
		case *eof && isTerminal(c.Stdin):
			r.Data = nil
		}
		if waits {
			return c.sendAndWait(cmd, args[0], args[1], r, match, *timeout, *asJSON)
		}
		return c.send(cmd, args[0], args[1], r, *asJSON)
	}
	return cmd
}

// sendAndWait sends, and waits for a match in what the session writes from now on.
func (c *CLI) sendAndWait(cmd *cobra.Command, vm, session string, r banger.SendRequest, m *matchOptions, timeout time.Duration, asJSON bool) error {
	if _, err := linematch.Compile(m.request(nil)); err != nil {
		return err
	}
	x, err := c.Backend.Services().Sessions.GetSession(cmd.Context(), vm, session)
	if err != nil {
		return err
	}
	end, err := c.endOf(cmd.Context(), x)
	if err != nil {
		return err
	}
	if err := c.send(cmd, vm, session, r, false); err != nil {
		return err
	}
	return c.printMatch(cmd.Context(), x, m.request(&end), timeout, asJSON)
}

// send says how far it got where it fails, so that the rest can be sent again.
func (c *CLI) send(cmd *cobra.Command, vm, session string, r banger.SendRequest, asJSON bool) error {
	counted := &countingReader{from: r.Data}
	if r.Data != nil {
		r.Data = counted
	}
	result, err := c.Backend.Services().Streams.SendSession(cmd.Context(), vm, session, r)
	if err != nil {
		if counted.read > 0 {
			err = fmt.Errorf("%w (%d bytes were read here; the session has accepted %d since its start)",
				err, counted.read, result.Offset)
		}
		return err
	}
	if asJSON {
		return c.printJSON(result)
	}
	return nil
}

// countingReader counts what is read through it.
type countingReader struct {
	from io.Reader
	read int64
}

// Read implements io.Reader.
func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.read += int64(n)
	return n, err
}
