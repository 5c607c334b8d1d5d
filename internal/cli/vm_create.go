package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create a VM and print its name",
		Long: `Create a VM and print its name. Without NAME, a name is generated.

With --image, the VM boots from an image that was built or imported here, or from an OCI
image, which is pulled from its registry if it is not here.

SIZE is a whole number with a unit: 512M, 2G. Disks are sparse: they use only as much
space on the host as the guest has written.`,
		Example:           "  banger vm create dev --cpus 2 --memory 2G --start",
		Args:              optionalArgument(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	request := c.vmFlags(cmd)
	autostart := autostartFlag(cmd)
	start := cmd.Flags().Bool("start", false, "start the VM and wait until its guest responds")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := request(nil)
		if err != nil {
			return err
		}
		r.Name, r.Autostart = firstOr(args, ""), *autostart
		if err := r.WithDefaults().Validate(); err != nil {
			return err
		}
		return c.createVM(cmd, r, *start, *asJSON)
	}
	return cmd
}

// vmFlags adds the flags of a new VM; the result makes the request from them and from an
// image that may be given as an argument.
func (c *CLI) vmFlags(cmd *cobra.Command) func(image []string) (banger.VMRequest, error) {
	var r banger.VMRequest
	var memory, disk, workDisk sizeMiB
	flags := cmd.Flags()
	flags.StringVar(&r.Image, "image", banger.DefaultImageName, "`IMAGE` to boot, by name or id; one that is not here is pulled: node:22")
	flags.StringVar(&r.Kernel, "kernel", "", "`KERNEL` to boot, by version, release or id (default: the image's own, else "+banger.DefaultKernelName+"); one that is not here is pulled")
	flags.StringVar((*string)(&r.Init), "init", "", "`INIT` of the guest: banger, or systemd if the image has it (default: systemd if that is the image's own command, else banger)")
	flags.IntVar(&r.CPUs, "cpus", banger.DefaultCPUs, "number of CPUs")
	flags.Var(&memory, "memory", "memory size (default "+formatMiB(banger.DefaultMemoryMiB)+")")
	flags.Var(&disk, "disk", "size of the system disk, which holds changes to the image (default "+formatMiB(banger.DefaultDiskMiB)+")")
	flags.Var(&workDisk, "work-disk", "size of the work disk, the guest's /root (default "+formatMiB(banger.DefaultDiskMiB)+")")
	c.completeFlag(cmd, "image", imageNames)
	c.completeFlag(cmd, "kernel", kernelNames)
	c.completeFlag(cmd, "init", initNames)
	return func(image []string) (banger.VMRequest, error) {
		if len(image) > 0 {
			if flags.Changed("image") && r.Image != image[0] {
				return r, usagef("there are two images, %s and --image %s: give one", image[0], r.Image)
			}
			r.Image = image[0]
		}
		r.MemoryMiB, r.SystemDiskMiB, r.WorkDiskMiB = int(memory), int(disk), int(workDisk)
		if flags.Changed("cpus") && r.CPUs == 0 {
			return r, usagef("--cpus must be at least 1") // in a request 0 would mean the default
		}
		return r, r.WithDefaults().Validate()
	}
}

// newVM creates a VM, for which its image and its kernel are pulled if they are not here.
func (c *CLI) newVM(ctx context.Context, r banger.VMRequest) (banger.VM, error) {
	if err := c.pullMissing(ctx, r.Image); err != nil {
		return banger.VM{}, err
	}
	if err := c.pullMissingKernel(ctx, r); err != nil {
		return banger.VM{}, err
	}
	return c.Backend.Services().VMs.CreateVM(ctx, r)
}

// createVM prints the name as soon as the VM exists, so that it is known even if the
// start fails.
func (c *CLI) createVM(cmd *cobra.Command, r banger.VMRequest, start, asJSON bool) error {
	vm, err := c.newVM(cmd.Context(), r)
	if err != nil {
		return err
	}
	if !asJSON {
		fmt.Fprintln(c.Stdout, vm.Name)
	}
	if start {
		started, startErr := c.startVM(cmd.Context(), string(vm.ID))
		if startErr == nil {
			vm = started
		}
		err = startErr
	}
	if asJSON {
		if printErr := c.printJSON(vm); err == nil {
			err = printErr
		}
	}
	return err
}
