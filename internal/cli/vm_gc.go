package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmGCCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Remove what was found among the VMs' directories and is no VM",
		Long: `Remove what was found among the directories of VMs and is no VM.

When the daemon starts, a VM that it has no record of is known again from its directory,
with its sessions. A directory that cannot be known is moved to the trash, vms/.trash in
the state directory: that of a VM that was never completed, one whose vm.json is damaged,
or one that is not banger's. It is removed from there after 7 days, or by this command.

Nothing is moved or removed while a machine runs in it or one of its files is locked.

To keep a directory, mend what the table says of it, stop the daemon, and move it back
to vms under the name that it had, which is its new one without the time.`,
		Example: `  banger vm gc --dry-run
  banger vm gc`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "only print what would be removed")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		trash := c.Backend.Services().Trash
		act := trash.EmptyTrash
		if *dryRun {
			act = trash.ListTrash
		}
		list, err := act(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSONList(c, list)
		}
		return c.printTrash(list)
	}
	return cmd
}

// printTrash prints a table on stdout, and on stderr what is not removed.
func (c *CLI) printTrash(list []banger.Trashed) error {
	var rows [][]string
	for _, t := range list {
		if t.Busy != "" {
			if _, err := fmt.Fprintf(c.Stderr, "banger: %s stays: %s\n", safe(t.Path), safe(t.Busy)); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{formatTime(t.MovedAt), formatBytes(t.Bytes), t.Path, t.Why})
	}
	if len(rows) == 0 {
		return nil
	}
	return table(c.Stdout, []string{"MOVED", "SIZE", "DIRECTORY", "WHY"}, rows)
}
