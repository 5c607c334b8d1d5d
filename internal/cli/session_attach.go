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
		`Connect your terminal or a program to a session's streams, leave and come back:
the session does not care. Its stdout comes on stdout, its stderr on stderr, byte
for byte; stdin goes to it. The exit status is the session's if it ends, and 0
after a detach. One attachment at a time writes; any number may --view.

Of a session on a terminal (--tty) the screen is shown at once. ctrl-\ detaches, and all
other keys go to the program, also where our output is a pipe (attach | tee log).
Where it is larger than a viewer's, that shows a part, which follows the cursor. Output
from before (--from) is shown without its side effects: old questions to the terminal,
clipboards, notifications.
Of any other, ctrl-c interrupts the command, ctrl-\ detaches, and control characters in
its output are made visible on a terminal (--raw: as they are).

When the link or the daemon breaks, the attachment goes on where it was.`)
	cmd.Example = `  banger session attach dev shell
  banger session attach dev build --view --from start
  banger session attach dev lsp </dev/fd/3 >/dev/fd/4     # as a program's transport`
	flags := cmd.Flags()
	attach := attachFlags(cmd)
	view := flags.Bool("view", false, "only look on: neither stdin nor signals nor the window's size go to the session")
	takeover := flags.Bool("takeover", false, "become the writer though another attachment is it")
	var from startPoint
	flags.Var(&from, "from", "begin with this byte of stdout, or of STDOUT,STDERR; with the start; or with what is written from now on")
	eof := flags.Bool("eof", false, "close the session's stdin when our own ends")
	cmd.MarkFlagsMutuallyExclusive("view", "takeover")
	cmd.MarkFlagsMutuallyExclusive("view", "eof")
	cmd.MarkFlagsMutuallyExclusive("no-stdin", "eof")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x, err := c.Backend.Services().Sessions.GetSession(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		o := attach()
		o.view, o.takeover, o.eof = *view, *takeover, *eof
		// To watch a session that reads nothing is no reason to keep others from it.
		o.view = o.view || x.StdinMode == banger.StdinClosed && !o.takeover
		if o.from, err = c.startOf(cmd.Context(), x, from); err != nil {
			return err
		}
		return c.attachToEnd(cmd.Context(), x, o)
	}
	return cmd
}

// attachFlags adds the flags that all commands have which attach.
func attachFlags(cmd *cobra.Command) func() attachOptions {
	flags := cmd.Flags()
	var keys detachKeys
	_ = keys.Set(defaultDetachKeys)
	flags.Var(&keys, "detach-keys", "keys that detach from a session on a terminal; empty: none do")
	noStdin := flags.Bool("no-stdin", false, "do not read our stdin")
	raw := rawFlag(cmd)
	rawReplay := flags.Bool("raw-replay", false, "of a session on a terminal, do not paint the screen: only what is written comes")
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
		return fmt.Errorf("%q is neither a byte offset nor STDOUT,STDERR nor start nor now", text)
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

// clientName says who we are to those who find a session's stdin held by us.
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
