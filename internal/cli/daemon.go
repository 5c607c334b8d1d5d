package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

// daemonStopPatience is how long daemon stop waits for the daemon's end.
const daemonStopPatience = time.Minute

func (c *CLI) daemonCommand() *cobra.Command {
	return group("daemon", "Manage the background process; other commands start it when needed",
		c.daemonRunCommand(), c.daemonStopCommand(), c.daemonStatusCommand())
}

func (c *CLI) daemonRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground; VMs and sessions survive it",
		Long: `Run the daemon in the foreground until SIGTERM or SIGINT; VMs and sessions survive it.

This is for service managers such as systemd: other commands start a daemon in the
background when they need one.`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	readyFD := cmd.Flags().Int("ready-fd", 0, "file descriptor on which to report the start")
	_ = cmd.Flags().MarkHidden("ready-fd")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *readyFD == 0 {
			return c.Backend.Serve(cmd.Context(), nil)
		}
		ready := os.NewFile(uintptr(*readyFD), "ready-fd")
		if ready == nil {
			return usagef("--ready-fd %d is not a file descriptor", *readyFD)
		}
		err := c.Backend.Serve(cmd.Context(), ready)
		if err != nil {
			reportFailedStart(ready, err)
		}
		return err
	}
	return cmd
}

// reportFailedStart reports why the daemon did not start to the process that waits
// for it. After a successful start the daemon has closed the file.
func reportFailedStart(ready *os.File, err error) {
	e, ok := errors.AsType[*banger.Error](err)
	if !ok {
		e = banger.Errorf(banger.CodeInternal, "%w", err)
	}
	_ = json.NewEncoder(ready).Encode(e)
	_ = ready.Close()
}

func (c *CLI) daemonStopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the daemon; VMs and sessions keep running",
		Long: `Stop the daemon; VMs and sessions keep running. The next command that needs the daemon
starts it again.`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), daemonStopPatience)
			defer cancel()
			// A daemon that does not answer may still be shutting down.
			err := c.Backend.Running().Host.Shutdown(ctx)
			if err != nil && banger.CodeOf(err) != banger.CodeUnavailable {
				return err
			}
			return c.Backend.WaitStopped(ctx)
		},
	}
}

func (c *CLI) daemonStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "status",
		Short:             "Show the running daemon, without starting one",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		info, err := c.Backend.Running().Host.Info(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(info)
		}
		return printFields(c.Stdout, []field{
			{"version", info.Version},
			{"pid", strconv.Itoa(info.PID)},
			{"socket", info.Socket},
			{"state", info.StateDir},
			{"data", info.DataDir},
			{"revision", strconv.FormatInt(info.Revision, 10)},
			{"vms", strconv.Itoa(info.VMs)},
			{"sessions", strconv.Itoa(info.Sessions)},
		})
	}
	return cmd
}
