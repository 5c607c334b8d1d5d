package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) upCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up [flags] [IMAGE]",
		Short: "Have a VM running, and the command of its image in it",
		Long: `Create a VM, or take the one that has the name already, start it if it is not running, and
print its name. The VM stays until you delete it.

IMAGE is an OCI image, which is pulled if it is not here, or another one that is here; the
default is the image of banger image build. If the image has a command of its own, that is
started with the VM as a session, without a terminal and with its stdin closed, as by
docker run -d.`,
		Example:           "  banger up --name web node:22\n  banger exec web -- npm test",
		Args:              optionalArgument(),
		ValidArgsFunction: c.complete(imageNames),
	}
	machine := c.vmFlags(cmd)
	name := cmd.Flags().String("name", "", "`NAME` of the VM (default: a new one with a generated name)")
	c.completeFlag(cmd, "name", vmNames)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := machine(args)
		if err != nil {
			return err
		}
		r.Name = *name
		if err := r.WithDefaults().Validate(); err != nil {
			return err
		}
		chosen := len(args) > 0 || cmd.Flags().Changed("image")
		vm, err := c.up(cmd.Context(), r, chosen)
		switch {
		case err != nil:
			return err
		case *asJSON:
			return c.printJSON(vm)
		}
		_, err = fmt.Fprintln(c.Stdout, vm.Name)
		return err
	}
	return cmd
}

// up has a VM running, with the command of its image if it was not running before. chosen says
// that the user has named the image.
func (c *CLI) up(ctx context.Context, r banger.VMRequest, chosen bool) (banger.VM, error) {
	vm, err := c.vmNamed(ctx, r, chosen)
	if err != nil || vm.State == banger.VMRunning {
		return vm, err
	}
	if vm, err = c.startVM(ctx, string(vm.ID)); err != nil || !hasCommand(vm) {
		return vm, err
	}
	x, err := c.Backend.Services().Sessions.StartSession(ctx, string(vm.ID), banger.SessionRequest{})
	if err != nil {
		return vm, fmt.Errorf("VM %s is running, but not the command of its image: %w", vm.Name, err)
	}
	if x.EndedBy == banger.EndedByLaunch {
		return vm, launchError(x)
	}
	fmt.Fprintf(c.Stderr, "banger: session %s runs the command of the image; its output: banger session logs -f %s %s\n",
		safe(x.Name), safe(vm.Name), safe(x.Name))
	return vm, nil
}

// vmNamed returns the VM of that name, which is created if there is none. Only what the user
// has chosen of a VM that is there must be what was asked for.
func (c *CLI) vmNamed(ctx context.Context, r banger.VMRequest, chosen bool) (banger.VM, error) {
	if r.Name != "" {
		vms, err := c.Backend.Services().VMs.ListVMs(ctx)
		if err != nil {
			return banger.VM{}, err
		}
		for _, vm := range vms {
			if vm.Name == r.Name {
				return vm, errors.Join(c.checkImage(ctx, vm, r.Image, chosen), c.checkKernel(ctx, vm, r.Kernel), checkInit(vm, r.Init))
			}
		}
	}
	return c.newVM(ctx, r)
}

// checkInit refuses a VM of another init than the user has chosen.
func checkInit(vm banger.VM, chosen banger.Init) error {
	if now := initText(vm); chosen != "" && now != string(chosen) {
		return banger.Errorf(banger.CodeExists, "cannot have VM %s with %s as init: it has %s", vm.Name, chosen, cmp.Or(now, "that of a remote host")).
			WithHint("give another --name, leave out --init, or delete the VM: banger vm delete --force %s", vm.Name)
	}
	return nil
}

// checkImage refuses a VM of another image than the user has chosen.
func (c *CLI) checkImage(ctx context.Context, vm banger.VM, ref string, chosen bool) error {
	if !chosen || ref == vm.ImageName || ref == string(vm.ImageID) {
		return nil
	}
	image, err := c.Backend.Services().Images.GetImage(ctx, ref)
	if err == nil && image.ID == vm.ImageID {
		return nil
	}
	return banger.Errorf(banger.CodeExists, "cannot have VM %s of image %s: it is of image %s", vm.Name, ref, vm.ImageName).
		WithHint("give another --name, leave out the image, or delete the VM: banger vm delete --force %s", vm.Name)
}

// checkKernel refuses a VM of another kernel than the user has chosen.
func (c *CLI) checkKernel(ctx context.Context, vm banger.VM, ref string) error {
	if ref == "" || ref == vm.KernelRelease || ref == string(vm.KernelID) {
		return nil
	}
	kernel, err := c.Backend.Services().Kernels.GetKernel(ctx, ref)
	if err == nil && kernel.ID == vm.KernelID {
		return nil
	}
	boots := vm.KernelRelease
	if boots == "" {
		boots = "that of its image"
	}
	return banger.Errorf(banger.CodeExists, "cannot have VM %s with kernel %s: it boots %s", vm.Name, ref, boots).
		WithHint("give another --name, leave out --kernel, or delete the VM: banger vm delete --force %s", vm.Name)
}
