package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionSendCommand() *cobra.Command {
	cmd := c.sessionCmd("send", "Write to a session's standard input",
		`Write to a session's standard input, byte for byte: no newline is added. Without
--data it writes what it reads from its own standard input, to the end of it; on
a terminal, --eof alone reads nothing and only closes.`)
	cmd.Example = `  printf 'b\na\n' | banger session send dev sort --eof
  banger session send dev repl --data $'1+1\n'`
	data := cmd.Flags().String("data", "", "write this instead of standard input")
	eof := cmd.Flags().Bool("eof", false, "then close the session's standard input")
	asJSON := cmd.Flags().Bool("json", false, "print how much was accepted, as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r := banger.SendRequest{EOF: *eof, Data: c.Stdin}
		switch {
		case cmd.Flags().Changed("data"):
			r.Data = strings.NewReader(*data)
		case *eof && isTerminal(c.Stdin):
			r.Data = nil
		}
		return c.send(cmd, args[0], args[1], r, *asJSON)
	}
	return cmd
}

// send says how far it got where it fails, so that the rest can be sent again.
func (c *CLI) send(cmd *cobra.Command, vm, session string, r banger.SendRequest, asJSON bool) error {
	counted := &countingReader{from: r.Data}
	if r.Data != nil {
		r.Data = counted
	}
	result, err := c.Backend.Services().Control.SendSession(cmd.Context(), vm, session, r)
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
