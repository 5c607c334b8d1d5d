// Package cli is banger's command line. It uses the services through the root package's
// interfaces only. Its help, output and exit statuses are a contract with scripts.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/paths"
	"banger/sessionstream"
)

// Services are the parts of a daemon that the commands use.
type Services struct {
	banger.Services
	Dialer Dialer
}

// Dialer opens connections to the streams of sessions; banger's Go client is one.
type Dialer interface {
	sessionstream.Dialer
	// DialExec starts a session, for sessionstream.Config.DialFirst. r has an idempotency
	// key, so that a second call does not start another one.
	DialExec(ctx context.Context, vm string, r banger.SessionRequest, opening []byte) (net.Conn, error)
	// DialCopy opens a connection for one copy of files to or from a VM.
	DialCopy(ctx context.Context, vm string) (net.Conn, error)
}

// Backend gives the commands access to a daemon.
type Backend interface {
	// Services are those of the daemon; their calls start it if none runs.
	Services() Services
	// Running is the same but never starts a daemon: if none runs, every call fails
	// with banger.CodeUnavailable.
	Running() Services
	// Installation has its directories.
	Installation() paths.Paths
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
	// ServeSSH serves one SSH client on conn, which it closes, to its end: its shell is the
	// command of the session. Nil where there are no sessions to log in to.
	ServeSSH func(ctx context.Context, conn net.Conn, s SSHSession)
}

// Run executes one command line, without the program's name, prints errors and returns
// the exit status. What is printed to a terminal is neutralised; see display.
func (c *CLI) Run(ctx context.Context, args []string) int {
	shown := *c
	shown.Stdout, shown.Stderr = newDisplays(c.Stdout, c.Stderr)
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

// rootCommand builds the tree of commands. entered becomes true when a command line
// has been parsed and its command begins; an error before that is a usage error.
func (c *CLI) rootCommand() (root *cobra.Command, entered *bool) {
	entered = new(bool)
	root = &cobra.Command{
		Use:   "banger",
		Short: "Durable sessions in disposable virtual machines",
		Long: `Durable sessions in disposable virtual machines: start a command in a VM, disconnect,
come back from any terminal or program, and lose nothing.

Exit status:
` + ExitStatusHelp,
		Example: `  banger image build                                      # once
  banger vm create dev
  banger exec dev -- uname -a                             # starts the VM if it does not run
  banger shell dev
  banger session start dev --name build -- make           # keeps running, whatever happens to your terminal
  banger session attach dev build                         # ctrl-\ detaches
  banger run -- uname -a                                  # in a VM of its own
  banger up --name web node:22                            # a VM of an OCI image`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(c.Stdin)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	root.SetUsageTemplate(usageTemplate)
	root.AddCommand(
		c.runCommand(), c.upCommand(), c.execCommand(), c.shellCommand(), c.cpCommand(), c.psCommand(), c.vmCommand(), c.sessionCommand(), c.imageCommand(), c.kernelCommand(), c.dfCommand(), c.daemonCommand(),
		c.doctorCommand(), c.eventsCommand(), c.versionCommand(),
		c.sshConfigCommand(), c.sshProxyCommand(), c.sshKnownHostsCommand(),
	)
	markEntry(root, entered)
	return root, entered
}

// markEntry makes every command below cmd set entered when it begins, which is after
// cobra has validated the command line.
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

// printError reports what went wrong, what may have been meant and what to do next.
// Messages may quote a guest, so they are neutralised.
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
