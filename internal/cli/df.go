package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) dfCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "df",
		Short: "Show how much of the disk images, kernels and VMs use, and what can be freed",
		Long: `Show how much of the host's disk banger uses, and which commands free how much of it now.

Each file counts once, with the blocks that it has on the disk, not with its size. SHARED is
the part that more than one image or VM needs. What is unfinished is being downloaded, built
or deleted, or was left behind by that. What a command frees is what it frees by itself, not
in addition to the commands above it.`,
		Example:           "  banger df\n  banger df -v",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	verbose := cmd.Flags().BoolP("verbose", "v", false, "list every image, layer, kernel and VM, who needs it, and what deletes it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		usage, err := c.Backend.Services().Disk.DiskUsage(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(usage)
		}
		if *verbose {
			if err := c.printDiskObjects(usage.Objects); err != nil {
				return err
			}
		}
		return c.printDiskUsage(usage)
	}
	return cmd
}

// printDiskUsage prints a table of the kinds and, if there is something to free, one of the
// commands that do.
func (c *CLI) printDiskUsage(usage banger.DiskUsage) error {
	rows := make([][]string, 0, len(usage.Kinds)+1)
	count, shared := 0, int64(0)
	for _, k := range usage.Kinds {
		count, shared = count+k.Count, shared+k.SharedBytes
		rows = append(rows, []string{string(k.Kind), strconv.Itoa(k.Count), formatBytes(k.UsedBytes), formatBytes(k.SharedBytes)})
	}
	rows = append(rows, []string{"total", strconv.Itoa(count), formatBytes(usage.UsedBytes), formatBytes(shared)})
	if err := table(c.Stdout, []string{"KIND", "COUNT", "USED", "SHARED"}, rows); err != nil || len(usage.Reclaimable) == 0 {
		return err
	}
	rows = rows[:0]
	for _, r := range usage.Reclaimable {
		rows = append(rows, []string{formatBytes(r.Bytes), strconv.Itoa(r.Count), r.Command})
	}
	fmt.Fprintln(c.Stdout)
	return table(c.Stdout, []string{"FREES", "OBJECTS", "COMMAND"}, rows)
}

// printDiskObjects prints a table and an empty line.
func (c *CLI) printDiskObjects(objects []banger.DiskObject) error {
	if len(objects) == 0 {
		return nil
	}
	rows := make([][]string, len(objects))
	for i, o := range objects {
		rows[i] = []string{string(o.Kind), o.Name, formatBytes(o.UsedBytes), strings.Join(o.Users, ", "), strings.Join(o.Commands, ", ")}
	}
	if err := table(c.Stdout, []string{"KIND", "NAME", "USED", "NEEDED BY", "DELETED BY"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.Stdout)
	return err
}
