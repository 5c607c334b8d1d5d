package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionPruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove ended sessions, with their logs, that are old or too many",
		Long: `Remove ended sessions with their logs: of each VM those that any of --older-than, --keep
and --max-size names. One of the three must be given. With --vm or --tag only the
sessions that these select are looked at, and counted.

A session with processes that outlived its command (--keep-children) is none of them
before these are dead: session kill ends them, and so does the end of the VM.

Sessions of a VM that does not run cannot be removed from its disk. They are left, which
is told on stderr, and then the exit status is 3.

The daemon does the same by itself if config.toml, in the configuration folder of banger,
has such criteria:

  [retention]
  older_than = "720h"
  keep = 100
  max_size = "10G"

It does so when a session ends or gets too old, and when a VM comes up. Where the file
has no [retention], the 5000 sessions of each VM that ended last are kept; an empty
[retention] keeps all.

Age counts from when the daemon saw a session end. No setting of a clock, neither the
guest's nor the host's, makes it older, and time for which the host was off counts only
if the host's clock is synchronised (NTP).`,
		Example: `  banger session prune --older-than 168h --dry-run
  banger session prune --vm dev --keep 20 --max-size 1G`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	vm := flags.String("vm", "", "only sessions of this VM")
	c.completeFlag(cmd, "vm", vmNames)
	tags := flags.StringArray("tag", nil, "only sessions with this tag, KEY=VALUE; may be repeated")
	age := flags.Duration("older-than", 0, "those that ended so long ago, such as 168h")
	keep := flags.Int("keep", 0, "all but so many of each VM that ended last")
	var size sizeMiB
	flags.Var(&size, "max-size", "those that ended first, beyond so much of logs of each VM")
	dryRun := flags.Bool("dry-run", false, "only print what would be removed")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := banger.PruneRequest{VM: *vm, DryRun: *dryRun, Retention: banger.Retention{OlderThan: *age, MaxBytes: int64(size) << 20}}
		if flags.Changed("keep") {
			r.Keep = keep
		}
		switch {
		case flags.Changed("older-than") && *age <= 0:
			return usagef("--older-than %s is no time above zero", *age)
		case r.Retention.IsZero():
			return usagef("nothing says which sessions to remove: give --older-than, --keep or --max-size")
		}
		if err := r.Retention.Validate(); err != nil {
			return err
		}
		var err error
		if r.Tags, err = pairs("--tag", *tags); err != nil {
			return err
		}
		result, err := c.Backend.Services().Sessions.PruneSessions(cmd.Context(), r)
		if err != nil {
			return err
		}
		if *asJSON {
			err = c.printJSON(result)
		} else {
			err = c.printPruned(result)
		}
		if err == nil && len(result.Left) > 0 {
			err = statusError{exitPartly, fmt.Sprintf("%d of %d sessions are left", len(result.Left), len(result.Left)+len(result.Removed))}
		}
		return err
	}
	return cmd
}

// printPruned prints what was removed on stdout, and on stderr what is left.
func (c *CLI) printPruned(result banger.PruneResult) error {
	if len(result.Removed) > 0 {
		rows := make([][]string, len(result.Removed))
		for i, p := range result.Removed {
			rows[i] = []string{p.VM, p.Session, formatTime(p.EndedAt), formatBytes(p.Bytes), p.Reason}
		}
		if err := table(c.Stdout, []string{"VM", "REMOVED", "ENDED", "LOGS", "WHY"}, rows); err != nil {
			return err
		}
	}
	for _, p := range result.Left {
		if _, err := fmt.Fprintf(c.Stderr, "banger: %s\n", safeText(p.Error.Error())); err != nil {
			return err
		}
	}
	return nil
}
