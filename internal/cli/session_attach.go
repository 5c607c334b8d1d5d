package cli

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"banger"
	"banger/api"
)

func (c *CLI) sessionAttachCommand() *cobra.Command {
	cmd := c.sessionCmd("attach", "Connect your terminal or a program to a session's streams",
		`Connect your terminal or a program to a session's streams: its stdout to your stdout,
its stderr to your stderr, your stdin to its stdin, byte for byte. Detach and re-attach
at any time; the session is unaffected. The exit status is the session's if it ends, and
0 after a detach. One attachment at a time can write; any number can --view.

Session with a terminal (--tty): its screen is shown at once. ctrl-\ detaches; all other
keys go to the program, even if your output is a pipe (attach | tee log). If the screen
is larger than a viewer's terminal, the viewer shows the part around the cursor. Earlier
output (--from) is replayed without side effects such as queries to the terminal,
clipboard writes and notifications.

Session without a terminal: ctrl-c interrupts the command, ctrl-\ detaches. On a
terminal, control characters in the output are shown as visible escapes (--raw:
unchanged).

If the connection or the daemon fails, the attachment reconnects and resumes where it was.`)
	cmd.Example = `  banger session attach dev shell
  banger session attach dev build --view --from start
  banger session attach dev lsp </dev/fd/3 >/dev/fd/4     # as a program's transport`
	flags := cmd.Flags()
	attach := attachFlags(cmd)
	view := flags.Bool("view", false, "watch only: send no stdin, signals or window size to the session")
	takeover := flags.Bool("takeover", false, "take over stdin from the current writer")
	var from startPoint
	flags.Var(&from, "from", "begin at this byte of stdout (or STDOUT,STDERR), at the start, or with output written from now on")
	eof := flags.Bool("eof", false, "close the session's stdin when yours ends")
	cmd.MarkFlagsMutuallyExclusive("view", "takeover")
	cmd.MarkFlagsMutuallyExclusive("view", "eof")
	cmd.MarkFlagsMutuallyExclusive("no-stdin", "eof")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x, err := c.Backend.Services().Sessions.GetSession(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		o := attach()
		o.vm, o.view, o.takeover, o.eof = args[0], *view, *takeover, *eof
		// Watching a session that reads nothing should not take the writer's place.
		o.view = o.view || x.StdinMode == banger.StdinClosed && !o.takeover
		if o.from, err = c.startOf(cmd.Context(), x, from); err != nil {
			return err
		}
		return c.attachToEnd(cmd.Context(), x, o)
	}
	return cmd
}

// attachFlags adds the flags of every command that attaches.
func attachFlags(cmd *cobra.Command) func() attachOptions {
	flags := cmd.Flags()
	var keys detachKeys
	_ = keys.Set(defaultDetachKeys)
	flags.Var(&keys, "detach-keys", "keys that detach from a session with a terminal; empty for none")
	noStdin := flags.Bool("no-stdin", false, "do not read your stdin")
	raw := rawFlag(cmd)
	rawReplay := flags.Bool("raw-replay", false, "do not restore the screen of a session with a terminal; print only its output")
	return func() attachOptions {
		return attachOptions{detachKeys: keys, noStdin: *noStdin, rawReplay: *rawReplay, raw: *raw}
	}
}

// attachToEnd attaches and carries the session's exit status if it ends.
func (c *CLI) attachToEnd(ctx context.Context, x banger.Session, o attachOptions) error {
	state, err := c.attach(ctx, x, o)
	if state == nil || err != nil {
		return err
	}
	x.SessionState = *state
	return sessionError(x)
}

// startPoint is the value of --from.
type startPoint struct {
	text   string
	start  bool
	stdout *int64            // with the end of stderr
	cursor *banger.LogCursor // both
}

// String implements pflag.Value.
func (p *startPoint) String() string { return p.text }

// Type implements pflag.Value; it is what --help shows.
func (p *startPoint) Type() string { return "OFFSET|start|now" }

// Set implements pflag.Value.
func (p *startPoint) Set(text string) error {
	*p = startPoint{text: text}
	switch text {
	case "start":
		p.start = true
		return nil
	case "now":
		return nil
	}
	if cursor, err := api.ParseCursor(text); err == nil {
		p.cursor = &cursor
		return nil
	}
	offset, err := strconv.ParseInt(text, 10, 64)
	if err != nil || offset < 0 {
		return fmt.Errorf("%q is not a byte offset, STDOUT,STDERR, start or now", text)
	}
	p.stdout = &offset
	return nil
}

// startOf returns where output is to begin, nil for now.
func (c *CLI) startOf(ctx context.Context, x banger.Session, p startPoint) (*banger.LogCursor, error) {
	switch {
	case p.start:
		return &banger.LogCursor{}, nil
	case p.stdout == nil:
		return p.cursor, nil
	}
	end, err := c.endOf(ctx, x)
	end.Stdout = *p.stdout
	return &end, err
}

// endOf returns where the output of a session ends now.
func (c *CLI) endOf(ctx context.Context, x banger.Session) (banger.LogCursor, error) {
	end, err := c.Backend.Services().Streams.ReadLogs(ctx, string(x.VMID), string(x.ID), banger.LogRequest{Stream: banger.StreamBoth},
		func(banger.LogChunk) error { return nil })
	return end.Next, err
}

// clientName identifies us to clients that find a session's stdin held by us.
func clientName() string {
	name := "user " + strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return fmt.Sprintf("%.200s (pid %d)", name, os.Getpid())
}
