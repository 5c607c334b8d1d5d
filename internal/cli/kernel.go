package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) kernelCommand() *cobra.Command {
	return group("kernel", "Get and manage kernels for VMs",
		c.kernelPullCommand(), c.kernelListCommand(), c.kernelDeleteCommand(), c.kernelPruneCommand())
}

func (c *CLI) kernelPullCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull [NAME]",
		Short: "Get a kernel from Debian",
		Long: `Get a kernel with its modules from Debian, and print its release and id. VMs of OCI images
boot the newest kernel ` + banger.DefaultKernelName + ` that was here when they were created; a first one is
fetched when it is needed. A VM keeps its kernel.

NAME is a version, whole or in part (the default is ` + banger.DefaultKernelName + `), or a package such as
linux-image-cloud-amd64. The suite and its updates and security updates are read, and what
is fetched is verified by the keys of Debian that this host has.`,
		Example:           "  banger kernel pull\n  banger kernel pull 6.1\n  banger kernel pull --suite trixie",
		Args:              optionalArgument(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.KernelRequest
	flags := cmd.Flags()
	flags.StringVar(&r.Suite, "suite", banger.DefaultSuite, "Debian `RELEASE`")
	flags.StringVar(&r.Mirror, "mirror", "", "`URL` of a Debian mirror (default: deb.debian.org and security.debian.org)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.Name = firstOr(args, "")
		k, err := c.pullKernel(cmd.Context(), r)
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(k)
		}
		_, err = fmt.Fprintf(c.Stdout, "%s %s\n", safe(k.Release), safe(string(k.ID)))
		return err
	}
	return cmd
}

// pullKernel gets a kernel and shows how far it is.
func (c *CLI) pullKernel(ctx context.Context, r banger.KernelRequest) (banger.Kernel, error) {
	progress := newProgress(c.Stderr)
	k, err := c.Backend.Services().Kernels.PullKernel(ctx, r, progress.report)
	progress.end(err == nil)
	return k, err
}

// pullMissingKernel gets the kernel of a new VM if it is not here: the one that was asked for, or
// the default one if the image has none.
func (c *CLI) pullMissingKernel(ctx context.Context, r banger.VMRequest) error {
	name := r.Kernel
	if name == "" {
		image, err := c.Backend.Services().Images.GetImage(ctx, r.WithDefaults().Image)
		if err != nil || image.OCI == nil {
			return nil //nolint:nilerr // to create the VM gives the better error
		}
		name = banger.DefaultKernelName
	}
	_, err := c.Backend.Services().Kernels.GetKernel(ctx, name)
	if banger.CodeOf(err) != banger.CodeNotFound || banger.ValidID(name) {
		return err
	}
	fmt.Fprintf(c.Stderr, "banger: kernel %s is not here; pulling it\n", safe(name))
	_, err = c.pullKernel(ctx, banger.KernelRequest{Name: name})
	return err
}

func (c *CLI) kernelListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the kernels, and the VMs that boot them",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		kernels, err := c.Backend.Services().Kernels.ListKernels(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSONList(c, kernels)
		}
		rows := make([][]string, len(kernels))
		for i, k := range kernels {
			rows[i] = []string{k.Release, k.Version, formatBytes(k.SizeBytes), strings.Join(k.VMs, ", "), formatTime(k.PulledAt), string(k.ID)}
		}
		return table(c.Stdout, []string{"RELEASE", "VERSION", "SIZE", "VMS", "PULLED", "ID"}, rows)
	}
	return cmd
}

func (c *CLI) kernelDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete KERNEL",
		Short:             "Delete a kernel that no VM boots",
		Args:              argumentNames("KERNEL"),
		ValidArgsFunction: c.complete(kernelNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.Backend.Services().Kernels.DeleteKernel(cmd.Context(), args[0])
		},
	}
}

func (c *CLI) kernelPruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete the kernels that no VM boots",
		Long: `Delete the kernels that no VM boots, but for the one that the next VM would be given. Print
what was deleted and how much of the disk that frees.`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.KernelPruneRequest
	cmd.Flags().BoolVar(&r.All, "all", false, "also delete the one that the next VM would be given")
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "only print what would be deleted")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		result, err := c.Backend.Services().Kernels.PruneKernels(cmd.Context(), r)
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(result)
		}
		if len(result.Kernels) > 0 {
			rows := make([][]string, len(result.Kernels))
			for i, k := range result.Kernels {
				rows[i] = []string{k.Release, formatBytes(k.SizeBytes), string(k.ID)}
			}
			if err := table(c.Stdout, []string{"REMOVED", "SIZE", "ID"}, rows); err != nil {
				return err
			}
		}
		return c.printFreed(result.ReclaimedBytes, r.DryRun)
	}
	return cmd
}

// printFreed prints how much of the disk a prune has freed, or would.
func (c *CLI) printFreed(bytes int64, dryRun bool) error {
	_, err := fmt.Fprintf(c.Stderr, "banger: %s %s\n", formatBytes(bytes), map[bool]string{true: "would be freed", false: "freed"}[dryRun])
	return err
}

func kernelNames(ctx context.Context, s Services, _ []string) ([]string, error) {
	kernels, err := s.Kernels.ListKernels(ctx)
	return names(kernels), err
}
