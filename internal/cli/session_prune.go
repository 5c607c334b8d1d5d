package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionPruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete ended sessions that are old or too many",
		Long: `Delete ended sessions and their logs: every session that any of --older-than, --keep and
--max-size selects. At least one of the three is required. With --vm or --tag, only
matching sessions are considered and counted.

A session with processes that outlived its command (--keep-children) is never pruned while
those processes run; session kill ends them, and so does the end of the VM.

Sessions of a stopped VM cannot be deleted from its disk. They are kept and reported on
stderr, and the exit status is 3.

The daemon prunes by itself, with the criteria in config.toml in banger's configuration
directory:

  [retention]
  older_than = "720h"
  keep = 100
  max_size = "10G"

It does so when a session ends or becomes too old, and when a VM starts. Without a
[retention] section, it keeps the 5000 most recently ended sessions of each VM; an empty
section keeps all.

Age is measured from when the daemon saw the session end. Setting the clock of the guest
or the host does not make a session older. Time while the host was off counts only if its
clock is synchronised (NTP).`,
		Example: `  banger session prune --older-than 168h --dry-run
  banger session prune --vm dev --keep 20 --max-size 1G`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	vm := flags.String("vm", "", "only sessions of this `VM`")
	c.completeFlag(cmd, "vm", vmNames)
	tags := flags.StringArray("tag", nil, "only sessions with this tag `KEY=VALUE`; repeatable")
	age := flags.Duration("older-than", 0, "delete sessions that ended longer ago than this, such as 168h")
	keep := flags.Int("keep", 0, "keep the `N` most recently ended sessions of each VM")
	var size sizeMiB
	flags.Var(&size, "max-size", "delete the oldest until each VM's logs fit in SIZE")
	dryRun := flags.Bool("dry-run", false, "only print what would be deleted")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		r := banger.PruneRequest{VM: *vm, DryRun: *dryRun, Retention: banger.Retention{OlderThan: *age, MaxBytes: int64(size) << 20}}
		if flags.Changed("keep") {
			r.Keep = keep
		}
		switch {
		case flags.Changed("older-than") && *age <= 0:
			return usagef("--older-than must be greater than zero, not %s", *age)
		case r.Retention.IsZero():
			return usagef("specify at least one of --older-than, --keep and --max-size")
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
			err = statusError{exitPartly, fmt.Sprintf("%d of %d sessions were not deleted", len(result.Left), len(result.Left)+len(result.Removed))}
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
