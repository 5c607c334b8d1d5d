package cli

import (
	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionCommand() *cobra.Command {
	return group("session", "Run durable commands in a VM",
		c.sessionStartCommand(), c.sessionAttachCommand(), c.sessionListCommand(), c.sessionShowCommand(),
		c.sessionLogsCommand(), c.sessionWaitCommand(), c.sessionSendCommand(),
		c.sessionSearchCommand(), c.sessionSignalCommand(), c.sessionStopCommand(), c.sessionKillCommand(),
		c.sessionRmCommand(), c.sessionPruneCommand())
}

// sessionCmd makes a command about one session of one VM.
func (c *CLI) sessionCmd(verb, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " VM SESSION",
		Short:             short,
		Long:              long,
		Args:              argumentNames("VM", "SESSION"),
		ValidArgsFunction: c.complete(vmNames, sessionNames),
	}
}

func (c *CLI) sessionStopCommand() *cobra.Command {
	cmd := c.sessionCmd("stop", "End a session: SIGTERM, then SIGKILL after a grace time", "")
	grace := cmd.Flags().Duration("grace", banger.DefaultStopGrace, "time between SIGTERM and SIGKILL")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *grace < 0 {
			return usagef("--grace %s is negative", *grace)
		}
		_, err := c.Backend.Services().Control.StopSession(cmd.Context(), args[0], args[1], banger.StopRequest{Grace: *grace, By: clientName()})
		return err
	}
	return cmd
}

func (c *CLI) sessionKillCommand() *cobra.Command {
	cmd := c.sessionCmd("kill", "Kill every process of a session at once",
		"Kill every process of a session at once, those that outlived its command\n(--keep-children) too.")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := c.Backend.Services().Control.StopSession(cmd.Context(), args[0], args[1], banger.StopRequest{By: clientName()})
		return err
	}
	return cmd
}

func (c *CLI) sessionSignalCommand() *cobra.Command {
	cmd := c.sessionCmd("signal", "Send a signal to a session's command",
		"Send a signal to a session's command, or with --all to every process of the session.\nIt is sent once, whatever happens to the link.")
	cmd.Use = "signal VM SESSION SIGNAL"
	cmd.Args = argumentNames("VM", "SESSION", "SIGNAL")
	cmd.Example = `  banger session signal dev server HUP
  banger session signal dev build STOP --all`
	all := cmd.Flags().Bool("all", false, "to every process of the session")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.Backend.Services().Control.SignalSession(cmd.Context(), args[0], args[1], banger.SignalRequest{Signal: args[2], All: *all})
	}
	return cmd
}

func (c *CLI) sessionRmCommand() *cobra.Command {
	cmd := c.sessionCmd("rm", "Remove an ended session with its logs",
		"Remove an ended session with its logs. Processes that outlived its command\n(--keep-children) are killed.")
	force := cmd.Flags().Bool("force", false, "kill it first if it has not ended")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.Backend.Services().Sessions.RemoveSession(cmd.Context(), args[0], args[1], *force)
	}
	return cmd
}
