// Package cli is the command line of banger. It speaks to the services through
// the root package's interfaces only; docs and exit statuses are its contract
// with scripts.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"banger"
)

// Services is what the commands use of a daemon.
type Services struct {
	VMs      banger.VMService
	Remotes  banger.RemoteService
	Sessions banger.SessionService
	Streams  banger.SessionStreams
	Control  banger.SessionControl
	Images   banger.ImageService
	Events   banger.EventService
	Host     banger.HostService
	Trash    banger.TrashService
}

// Backend is how the commands get at a daemon.
type Backend interface {
	// Services are those of the daemon; their calls start it if none runs.
	Services() Services
	// Running is the same but never starts one: without a daemon every call
	// fails with banger.CodeUnavailable.
	Running() Services
	// WaitStopped returns when no daemon of this installation is left, or with ctx.
	WaitStopped(ctx context.Context) error
	// Serve is the daemon itself. It returns nil when ctx ends it. It closes
	// ready when it serves; a nil ready is for a daemon whose start nobody waits for.
	Serve(ctx context.Context, ready *os.File) error
}

// CLI runs command lines. Its fields are not changed while it runs.
type CLI struct {
	Version string
	Backend Backend
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

// Run carries out one command line, without the program's name, prints what
// went wrong and returns the exit status. Where Stdout or Stderr is a terminal, what
// is printed there is neutralised; see display.
func (c *CLI) Run(ctx context.Context, args []string) int {
	shown := *c
	shown.Stdout, shown.Stderr = newDisplay(c.Stdout), newDisplay(c.Stderr)
	status := shown.execute(ctx, args)
	_, _ = flush(shown.Stdout), flush(shown.Stderr) // a terminal that is gone shows nothing
	return status
}

// execute is Run with streams that are neutralised.
func (c *CLI) execute(ctx context.Context, args []string) int {
	printed := &firstFailure{to: c.Stdout}
	if !isTerminal(c.Stdout) {
		c.Stdout = printed
	}
	root, entered := c.rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if lost := printed.failure(); lost != nil && (err == nil || errors.Is(err, lost)) {
		err = fmt.Errorf("cannot print all of it: %w", lost) // once, however often it was tried
	} else if err != nil && !*entered {
		err = usageError{err}
	}
	c.printError(ctx, cmd, err)
	return exitStatus(ctx, err)
}

// rootCommand builds the tree of commands. entered becomes true when a command
// line was understood and its command begins; an error before is one of usage.
func (c *CLI) rootCommand() (root *cobra.Command, entered *bool) {
	entered = new(bool)
	root = &cobra.Command{
		Use:   "banger",
		Short: "Durable sessions in disposable virtual machines",
		Long: `Durable sessions in disposable virtual machines: start a command in a VM,
walk away, come back from any terminal or program, and lose nothing.

Exit status:
` + ExitStatusHelp,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	root.AddCommand(
		c.runCommand(), c.vmCommand(), c.sessionCommand(), c.imageCommand(), c.daemonCommand(),
		c.doctorCommand(), c.eventsCommand(), c.versionCommand(),
	)
	markEntry(root, entered)
	return root, entered
}

// markEntry makes every command below cmd set entered when it begins: after
// cobra has checked all that can be wrong with a command line.
func markEntry(cmd *cobra.Command, entered *bool) {
	for _, sub := range cmd.Commands() {
		markEntry(sub, entered)
		if begin := sub.RunE; begin != nil {
			sub.RunE = func(cmd *cobra.Command, args []string) error {
				*entered = true
				return begin(cmd, args)
			}
		}
	}
}

// group makes a command that only holds others. Without one of them it is
// wrong usage, so that a script with a slip in it does not go on.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use + " COMMAND",
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("a command is missing")
			}
			return fmt.Errorf("unknown command %q", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// printError tells the user what went wrong, what could have been meant and what
// to do next. Messages may quote a guest, so they are neutralised.
func (c *CLI) printError(ctx context.Context, cmd *cobra.Command, err error) {
	if err == nil || err.Error() == "" {
		return
	}
	if s, ok := errors.AsType[signalError](context.Cause(ctx)); ok {
		fmt.Fprintf(c.Stderr, "banger: %s\n", s)
		return
	}
	fmt.Fprintf(c.Stderr, "banger: %s\n", safeText(err.Error()))
	if e, ok := errors.AsType[*banger.Error](err); ok {
		for _, candidate := range e.Candidates {
			fmt.Fprintf(c.Stderr, "  %s\n", safe(candidate))
		}
		if e.Hint != "" {
			fmt.Fprintf(c.Stderr, "hint: %s\n", safeText(e.Hint))
		}
	}
	if _, ok := errors.AsType[usageError](err); ok && cmd != nil {
		fmt.Fprintf(c.Stderr, "hint: see %s --help\n", cmd.CommandPath())
	}
}
