package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "events",
		Short:             "Print changes to VMs, sessions and images as they happen",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	const fromNow = -1
	since := cmd.Flags().Int64("since", fromNow, "print events after this `REVISION`; -1: new events only, 0: all that are kept")
	asJSON := cmd.Flags().Bool("json", false, "print events as JSON, one per line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		print := c.printEvent
		if *asJSON {
			print = func(e banger.Event) error { return c.printJSONLine(e) }
		}
		return c.Backend.Services().Events.WatchEvents(cmd.Context(), *since, print)
	}
	return cmd
}

func (c *CLI) printEvent(e banger.Event) error {
	var name, state string
	switch {
	case e.VM != nil:
		name, state = e.VM.Name, string(e.VM.State)
	case e.Session != nil:
		name, state = e.Session.Name, string(e.Session.Status)
		if o := outcome(e.Session.Summary()); o != "" {
			state += " " + o
		}
	case e.Image != nil:
		name = e.Image.Name
	}
	_, err := fmt.Fprintf(c.Stdout, "%d %s %s %s %s\n", e.Revision, formatTime(e.Time), e.Kind, orDash(safe(name)), safe(state))
	return err
}
