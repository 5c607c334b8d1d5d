package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/imagename"
)

func (c *CLI) imagePullCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pull REF",
		Short: "Get an OCI image from a registry",
		Long: `Get an image from a registry, as docker pull and podman pull do, and print its name and
id. Layers that are here, of this or any other image, are not fetched again. What an
interrupted pull has fetched is kept for a day, and the next pull continues it.

Mirrors of registries are looked into first, without a login: in config.toml in banger's
configuration directory (banger doctor reports where), read when the daemon starts:

  [registries."docker.io"]
  mirrors = ["mirror.example:5000", "other.example/hub"]

You are logged in as docker and podman are: with the names, passwords and credential
helpers that docker login and podman login have set up for you.`,
		Example:           "  banger image pull node:22\n  banger image pull registry.example/team/image@sha256:… --name work",
		Args:              argumentNames("REF"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.PullRequest
	maxSize := pullFlags(cmd, &r.Platform, &r.Name)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.Reference, r.MaxBytes = args[0], int64(*maxSize)<<20
		image, err := c.pull(cmd.Context(), r)
		return c.printPulled(image, err, *asJSON)
	}
	return cmd
}

// pull gets an image from a registry, logged in as the user is, and shows how far it is.
func (c *CLI) pull(ctx context.Context, r banger.PullRequest) (image banger.Image, err error) {
	if r.Login, err = registryLogin(ctx, r.Reference); err != nil {
		return image, err
	}
	progress := newPullProgress(c.Stderr)
	defer progress.end()
	return c.Backend.Services().Images.PullImage(ctx, r, progress.report)
}

// pullMissing gets the image of a new VM from its registry if it is not here. One that is
// built, by its default name, and what can only be an id, are not looked for there.
func (c *CLI) pullMissing(ctx context.Context, ref string) error {
	if ref == "" || ref == banger.DefaultImageName || banger.ValidID(ref) {
		return nil
	}
	_, err := c.Backend.Services().Images.GetImage(ctx, ref)
	if banger.CodeOf(err) != banger.CodeNotFound {
		return err
	}
	if _, bad := imagename.Parse(ref); bad != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "banger: image %s is not here; pulling it\n", safe(ref))
	_, err = c.pull(ctx, banger.PullRequest{Reference: ref})
	if e, ok := errors.AsType[*banger.Error](err); ok && e.Hint != "" { // it may have been a slip
		err = e.WithHint("%s; or use one that is here (banger image list), or build one: banger image build", e.Hint)
	}
	return err
}

func (c *CLI) imageImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE|DIR",
		Short: "Get an OCI image from a file or directory",
		Long: `Get an image from an archive that docker save, podman save or skopeo copy has written, or
from a directory in the OCI image layout or an archive of one, and print its name and id.
One of several images in a layout is chosen with its tag: DIR:TAG.

Without --name, the image has the name that it has there; if it has none, that of the file.`,
		Example:           "  docker save app:1 -o app.tar && banger image import app.tar\n  banger image import ./layout:latest --name app",
		Args:              argumentNames("FILE|DIR"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
	}
	var r banger.ImportRequest
	maxSize := pullFlags(cmd, &r.Platform, &r.Name)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		r.MaxBytes = int64(*maxSize) << 20
		if r.Path, err = filepath.Abs(args[0]); err != nil {
			return err
		}
		progress := newPullProgress(c.Stderr)
		image, err := c.Backend.Services().Images.ImportImage(cmd.Context(), r, progress.report)
		progress.end()
		return c.printPulled(image, err, *asJSON)
	}
	return cmd
}

// pullFlags adds what a pull and an import have in common.
func pullFlags(cmd *cobra.Command, platform, name *string) (maxSize *sizeMiB) {
	maxSize = new(sizeMiB)
	cmd.Flags().Var(maxSize, "max-size", "how large the image may be unpacked, such as 32G (default: 16G, and no\nlayer over 1G more than 20 times as large as it comes)")
	cmd.Flags().StringVar(platform, "platform", "", "`OS/ARCH[/VARIANT]` of the image (default: that of this host)")
	cmd.Flags().StringVar(name, "name", "", "`NAME` of the image here")
	return maxSize
}

func (c *CLI) printPulled(image banger.Image, err error, asJSON bool) error {
	if err != nil {
		return err
	}
	if asJSON {
		return c.printJSON(image)
	}
	_, err = fmt.Fprintf(c.Stdout, "%s %s\n", image.Name, image.ID)
	return err
}

func (c *CLI) imageTagCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "tag IMAGE NAME",
		Short:             "Give an image one more name",
		Long:              `Give an image one more name. Another image that has the name loses it.`,
		Args:              argumentNames("IMAGE", "NAME"),
		ValidArgsFunction: c.complete(imageNames),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		image, err := c.Backend.Services().Images.TagImage(cmd.Context(), args[0], banger.TagRequest{Name: args[1]})
		if err == nil && *asJSON {
			err = c.printJSON(image)
		}
		return err
	}
	return cmd
}

func (c *CLI) imagePruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete the images that no VM uses",
		Long: `Delete the images that no VM uses, their layers unless another image has them, and what
interrupted pulls have left. The default image is kept. Print what was deleted and how much
of the disk that frees.`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.ImagePruneRequest
	cmd.Flags().BoolVar(&r.All, "all", false, "also delete the default image")
	cmd.Flags().BoolVar(&r.DryRun, "dry-run", false, "only print what would be deleted")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		result, err := c.Backend.Services().Images.PruneImages(cmd.Context(), r)
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(result)
		}
		if len(result.Images) > 0 {
			rows := make([][]string, len(result.Images))
			for i, m := range result.Images {
				rows[i] = []string{m.Name, origin(m), formatBytes(m.SizeBytes), string(m.ID)}
			}
			if err := table(c.Stdout, []string{"REMOVED", "FROM", "SIZE", "ID"}, rows); err != nil {
				return err
			}
		}
		return c.printFreed(result.ReclaimedBytes, r.DryRun)
	}
	return cmd
}
