package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the VMs",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		vms, err := c.Backend.Services().VMs.ListVMs(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSONList(c, vms)
		}
		rows := make([][]string, len(vms))
		for i, vm := range vms {
			rows[i] = []string{vm.Name, string(vm.State), vm.ImageName, strconv.Itoa(vm.CPUs),
				formatMiB(vm.MemoryMiB), formatTime(vm.CreatedAt), string(vm.ID)}
		}
		return table(c.Stdout, []string{"NAME", "STATE", "IMAGE", "CPUS", "MEMORY", "CREATED", "ID"}, rows)
	}
	return cmd
}

func (c *CLI) vmShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show VM",
		Short:             "Show one VM",
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		vm, err := c.Backend.Services().VMs.GetVM(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(vm)
		}
		return printFields(c.Stdout, vmFields(vm))
	}
	return cmd
}

func vmFields(vm banger.VM) []field {
	return []field{
		{"name", vm.Name},
		{"id", string(vm.ID)},
		{"state", string(vm.State)},
		{"last error", vm.LastError},
		{"image", vm.ImageName + " (" + string(vm.ImageID) + ")"},
		{"driver", vm.Driver},
		{"accelerator", vm.Accelerator},
		{"cpus", strconv.Itoa(vm.CPUs)},
		{"memory", formatMiB(vm.MemoryMiB)},
		{"system disk", formatMiB(vm.SystemDiskMiB)},
		{"work disk", formatMiB(vm.WorkDiskMiB)},
		{"ssh", vm.SSHAddress},
		{"boot id", vm.BootID},
		{"created", formatTime(vm.CreatedAt)},
		{"started", formatTime(vm.StartedAt)},
		{"ready", formatTime(vm.ReadyAt)},
		{"stopped", formatTime(vm.StoppedAt)},
	}
}
