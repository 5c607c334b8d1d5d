package cli

import (
	"github.com/spf13/cobra"
	"time"

	"banger"
)

func (c *CLI) sessionCommand() *cobra.Command {
	return group("session", "Run and manage durable commands in VMs",
		c.sessionStartCommand(), c.sessionAttachCommand(), c.sessionListCommand(), c.sessionShowCommand(),
		c.sessionLogsCommand(), c.sessionWaitCommand(), c.sessionSendCommand(),
		c.sessionSearchCommand(), c.sessionSignalCommand(), c.sessionStopCommand(), c.sessionKillCommand(),
		c.sessionDeleteCommand(), c.sessionPruneCommand())
}

// sessionCmd makes a command that takes one session of one VM.
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
	cmd := c.sessionCmd("stop", "Stop a session: its stop signal, then SIGKILL after a grace period",
		"Stop a session: SIGTERM to its processes, or its own stop signal (--stop-signal, or that of\nthe image) to its command alone; then SIGKILL to all after a grace period.")
	grace := cmd.Flags().Duration("grace", banger.DefaultStopGrace, "time between the stop signal and SIGKILL")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *grace < 0 {
			return usagef("--grace %s is negative", *grace)
		}
		_, err := c.Backend.Services().Control.StopSession(cmd.Context(), args[0], args[1], stopRequest(*grace))
		return err
	}
	return cmd
}

func (c *CLI) sessionKillCommand() *cobra.Command {
	cmd := c.sessionCmd("kill", "Kill every process of a session immediately",
		"Kill every process of a session immediately, including those that outlived its\ncommand (--keep-children).")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := c.Backend.Services().Control.StopSession(cmd.Context(), args[0], args[1], banger.StopRequest{Kill: true, By: clientName()})
		return err
	}
	return cmd
}

func (c *CLI) sessionSignalCommand() *cobra.Command {
	cmd := c.sessionCmd("signal", "Send a signal to a session's command",
		`Send a signal, given by name or number, to a session's command, or with --all to every
process of the session. It is delivered once, even if the connection to the VM breaks.`)
	cmd.Use = "signal VM SESSION SIGNAL"
	cmd.Args = argumentNames("VM", "SESSION", "SIGNAL")
	cmd.Example = `  banger session signal dev server HUP
  banger session signal dev build STOP --all`
	all := cmd.Flags().Bool("all", false, "signal every process of the session")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.Backend.Services().Control.SignalSession(cmd.Context(), args[0], args[1], banger.SignalRequest{Signal: args[2], All: *all})
	}
	return cmd
}

func (c *CLI) sessionDeleteCommand() *cobra.Command {
	cmd := c.sessionCmd("delete", "Delete an ended session and its logs",
		"Delete an ended session and its logs. Processes that outlived its command\n(--keep-children) are killed.")
	force := cmd.Flags().Bool("force", false, "kill the session first if it has not ended")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.Backend.Services().Sessions.RemoveSession(cmd.Context(), args[0], args[1], *force)
	}
	return cmd
}

// stopRequest is a stop with the grace that a user gave; 0 is a kill.
func stopRequest(grace time.Duration) banger.StopRequest {
	return banger.StopRequest{Kill: grace == 0, Grace: grace, By: clientName()}
}
