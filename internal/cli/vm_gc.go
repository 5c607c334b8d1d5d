package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmGCCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Delete directories that were moved to the trash because they are not VMs",
		Long: `Delete directories that were moved to the trash because they are not VMs.

When the daemon starts and finds the directory of a VM that has no record, it restores
the VM and its sessions from that directory. A directory that cannot be restored is moved
to the trash, vms/.trash in the state directory: that of a VM whose creation did not
finish, one whose vm.json is damaged, or one that is not banger's. It is deleted from
there after 7 days, or by this command.

Nothing is moved or deleted while a machine uses it or one of its files is locked.

To keep a directory, fix the problem that the table shows, stop the daemon, and move the
directory back to vms under its original name: its current one without the time.`,
		Example: `  banger vm gc --dry-run
  banger vm gc`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "only print what would be deleted")
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

// printTrash prints a table on stdout, and on stderr what is not deleted.
func (c *CLI) printTrash(list []banger.Trashed) error {
	var rows [][]string
	for _, t := range list {
		if t.Busy != "" {
			if _, err := fmt.Fprintf(c.Stderr, "banger: %s is kept: %s\n", safe(t.Path), safe(t.Busy)); err != nil {
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
