package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) shellCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shell [flags] VM [-- COMMAND...]",
		Short: "Open a login shell in a VM",
		Long: `Open a login shell in a VM, the one of the user in the guest's /etc/passwd, as a session:
on a terminal if you are on one, and with your stdin. A VM that is not running is started
first. With COMMAND, the shell runs that and exits: as with ssh, its words are joined with
spaces and interpreted by the shell. banger exec runs a command without a shell.

If your connection is lost, the shell keeps running: the message says how to come back.`,
		Example: `  banger shell dev
  banger shell dev -u postgres
  banger shell dev -- 'cd src && make test'`,
		ValidArgsFunction: c.complete(vmNames),
	}
	e := sessionFlags(cmd)
	cmd.Args = e.parse
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		e.interactive, e.request.LoginShell = true, true
		e.request.TTY = isTerminal(c.Stdin) && (len(e.words) == 0 || isTerminal(c.Stdout)) // what goes into a pipe is no screen
		if len(e.words) > 0 {
			e.request.Args = banger.ByteStrings([]string{"-c", strings.Join(e.words, " ")})
		}
		return c.exec(cmd.Context(), e)
	}
	return cmd
}
