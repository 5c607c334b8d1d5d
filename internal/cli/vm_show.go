package cli

import (
	"cmp"

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
			rows[i] = []string{vm.Name, stateText(vm), originText(vm), positive(int64(vm.CPUs)),
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

// stateText is the state of a VM; of a remote host that does not answer it is that.
func stateText(vm banger.VM) string {
	switch {
	case vm.LoginRefused:
		return "login refused"
	case !vm.UnreachableSince.IsZero():
		return "unreachable"
	}
	return string(vm.State)
}

// yes is "" for no, so that the field is left out.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// sessionsUnknownText is why sessions of a VM may have no record.
const sessionsUnknownText = "the store was lost or restored, and the guest has not responded since"

// unknown says what it means that sessions of a VM are not known, "" if they are.
func unknown(is bool) string {
	if is {
		return "some may be missing: " + sessionsUnknownText
	}
	return ""
}

// originText says what a VM was made of: an image, or a host that was there.
func originText(vm banger.VM) string {
	if vm.SSHTarget != "" {
		return "ssh:" + vm.SSHTarget
	}
	return vm.ImageName
}

// initText is what process 1 of a VM is; VMs of older versions do not say it.
func initText(vm banger.VM) string {
	if vm.ImageID == "" {
		return ""
	}
	return string(cmp.Or(vm.Init, banger.InitBanger))
}

// vmFields are the rows of vm show; those without a value are left out.
func vmFields(vm banger.VM) []field {
	image := ""
	if vm.ImageID != "" {
		image = vm.ImageName + " (" + string(vm.ImageID) + ")"
	}
	return []field{
		{"name", vm.Name},
		{"id", string(vm.ID)},
		{"state", stateText(vm)},
		{"unreachable since", formatTime(vm.UnreachableSince)},
		{"last error", vm.LastError},
		{"sessions", unknown(vm.SessionsUnknown)},
		{"image", image},
		{"kernel", vm.KernelRelease},
		{"init", initText(vm)},
		{"driver", vm.Driver},
		{"accelerator", vm.Accelerator},
		{"cpus", positive(int64(vm.CPUs))},
		{"memory", formatMiB(vm.MemoryMiB)},
		{"system disk", formatMiB(vm.SystemDiskMiB)},
		{"work disk", formatMiB(vm.WorkDiskMiB)},
		{"ssh", cmp.Or(vm.SSHTarget, vm.SSHAddress)},
		{"autostart", yes(vm.Autostart)},
		{"ends with", vm.EndsWith},
		{"boot id", vm.BootID},
		{"created", formatTime(vm.CreatedAt)},
		{"started", formatTime(vm.StartedAt)},
		{"ready", formatTime(vm.ReadyAt)},
		{"stopped", formatTime(vm.StoppedAt)},
		{"stopped by", string(vm.StoppedBy)},
	}
}
