package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmCommand() *cobra.Command {
	return group("vm", "Create, start and stop virtual machines",
		c.vmCreateCommand(), c.vmSetCommand(), c.vmRenameCommand(), c.vmStartCommand(), c.vmStopCommand(), c.vmRestartCommand(),
		c.vmAddCommand(), c.vmUnlockCommand(), c.vmDeleteCommand(), c.vmGCCommand(), c.vmListCommand(), c.vmShowCommand(), c.vmSSHCommand(),
		c.vmConsoleLogCommand())
}

func (c *CLI) vmStartCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "start VM",
		Short:             "Boot a VM and wait until its guest responds",
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := c.startVM(cmd.Context(), args[0])
			return err
		},
	}
}

// startVM starts a VM and warns on stderr about what would end it without a request.
func (c *CLI) startVM(ctx context.Context, ref string) (banger.VM, error) {
	vm, err := c.Backend.Services().VMs.StartVM(ctx, ref)
	if err == nil && vm.EndsWith != "" {
		fmt.Fprintf(c.Stderr, "banger: VM %s ends with %s\n", safe(vm.Name), safe(vm.EndsWith))
	}
	return vm, err
}

func (c *CLI) vmSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "set VM",
		Short:             "Change the settings of a running or stopped VM",
		Example:           "  banger vm set dev --autostart\n  banger vm set dev --autostart=false",
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	autostart := autostartFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var u banger.VMUpdate
		if cmd.Flags().Changed(autostartName) {
			u.Autostart = autostart
		} else {
			return usagef("nothing to change: specify --%s", autostartName)
		}
		_, err := c.Backend.Services().VMs.SetVM(cmd.Context(), args[0], u)
		return err
	}
	return cmd
}

const autostartName = "autostart"

func autostartFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool(autostartName, false, "start the VM after each boot of the host, when the daemon first starts")
}

func (c *CLI) vmStopCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stop VM",
		Short: "Shut down a VM; its disks and session logs are kept",
		Long: `Shut down a VM; its disks and session logs are kept.

The guest is asked to shut down, over its connection or by the power button (ACPI), and
killed if it has not done so within the grace period. A kill is reported on stderr and the
exit status is still 0; "vm show" prints how the VM was "stopped by": guest, acpi or killed.`,
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	stop := stopFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, err := c.stopVM(cmd.Context(), args[0], stop)
		return err
	}
	return cmd
}

func (c *CLI) vmRestartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "restart VM",
		Short:             "Stop a VM and start it again",
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	stop := stopFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		vm, err := c.stopVM(cmd.Context(), args[0], stop)
		if err != nil {
			return err
		}
		_, err = c.startVM(cmd.Context(), string(vm.ID))
		return err
	}
	return cmd
}

func (c *CLI) vmDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete VM",
		Short: "Delete a stopped VM, its disks and all of its sessions",
		Long: `Delete a stopped VM, its disks and all of its sessions. A host that was added with
"vm add" is not touched: what runs there continues, and its sessions are only forgotten.`,
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	force := cmd.Flags().Bool("force", false, "kill the VM first if it is running")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.Backend.Services().VMs.DeleteVM(cmd.Context(), args[0], *force)
	}
	return cmd
}

func (c *CLI) vmConsoleLogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "console-log VM",
		Short:             "Print the console output of a VM's kernel and init",
		Long:              "Print the console output of a VM's kernel and init since its last start, at most the\nlast MiB.",
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	asJSON := jsonFlag(cmd)
	raw := rawFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("json", "raw")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		const maxBytes = 1 << 20
		log, err := c.Backend.Services().VMs.ConsoleLog(cmd.Context(), args[0], maxBytes)
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(map[string][]byte{"data": log})
		}
		if _, err := guestOutput(c.Stdout, *raw).Write(log); err != nil {
			return fmt.Errorf("cannot print console log: %w", err)
		}
		return nil
	}
	return cmd
}

// stopFlags adds the flags of a stop; the result makes the request from them.
func stopFlags(cmd *cobra.Command) func() (banger.VMStopRequest, error) {
	grace := cmd.Flags().Duration("grace", 0, fmt.Sprintf("time to shut down cleanly; 0 kills the VM immediately (default %s, or %s if systemd is the init)",
		banger.DefaultVMStopGrace, banger.DefaultSystemdStopGrace))
	return func() (banger.VMStopRequest, error) {
		if *grace < 0 {
			return banger.VMStopRequest{}, usagef("--grace %s is negative", *grace)
		}
		return banger.VMStopRequest{Kill: *grace == 0 && cmd.Flags().Changed("grace"), Grace: *grace}, nil
	}
}

func (c *CLI) stopVM(ctx context.Context, ref string, request func() (banger.VMStopRequest, error)) (banger.VM, error) {
	r, err := request()
	if err != nil {
		return banger.VM{}, err
	}
	vm, err := c.Backend.Services().VMs.StopVM(ctx, ref, r)
	if err == nil && vm.StoppedBy == banger.StoppedByKilled && !r.Kill {
		fmt.Fprintf(c.Stderr, "banger: VM %s did not shut down within %s and was killed: unsaved data in it may be lost\n", safe(vm.Name), r.WithDefaults(vm).Grace)
	}
	return vm, err
}
