package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) imageCommand() *cobra.Command {
	return group("image", "Build and manage images for VMs",
		c.imageBuildCommand(), c.imageListCommand(), c.imageShowCommand(), c.imageDeleteCommand())
}

func (c *CLI) imageBuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [NAME]",
		Short: "Build a Debian image",
		Long: `Build a Debian image with its kernel and name it. An existing image with the same
recipe is reused.`,
		Example:           "  banger image build\n  banger image build web --include nodejs --include git",
		Args:              optionalArgument(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.ImageRecipe
	flags := cmd.Flags()
	flags.StringVar(&r.Suite, "suite", banger.DefaultSuite, "Debian `RELEASE`")
	flags.StringArrayVar(&r.Include, "include", nil, "Debian `PACKAGE` to install in addition to the base system; repeatable")
	flags.StringVar(&r.Mirror, "mirror", "", "`URL` of a Debian mirror (default: deb.debian.org and security.debian.org)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := firstOr(args, banger.DefaultImageName)
		progress := newProgress(c.Stderr)
		image, err := c.Backend.Services().Images.BuildImage(cmd.Context(), name, r, progress.report)
		progress.end(err == nil)
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(image)
		}
		_, err = fmt.Fprintf(c.Stdout, "%s %s\n", image.Name, image.ID)
		return err
	}
	return cmd
}

func (c *CLI) imageListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the images",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		images, err := c.Backend.Services().Images.ListImages(cmd.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSONList(c, images)
		}
		rows := make([][]string, len(images))
		for i, m := range images {
			rows[i] = []string{m.Name, m.Recipe.Suite, m.KernelRelease, formatBytes(m.SizeBytes),
				formatTime(m.CreatedAt), string(m.ID)}
		}
		return table(c.Stdout, []string{"NAME", "SUITE", "KERNEL", "SIZE", "CREATED", "ID"}, rows)
	}
	return cmd
}

func (c *CLI) imageShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show IMAGE",
		Short:             "Show one image",
		Args:              argumentNames("IMAGE"),
		ValidArgsFunction: c.complete(imageNames),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := c.Backend.Services().Images.GetImage(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(m)
		}
		return printFields(c.Stdout, []field{
			{"name", m.Name},
			{"id", string(m.ID)},
			{"suite", m.Recipe.Suite},
			{"include", strings.Join(m.Recipe.Include, " ")},
			{"mirror", m.Recipe.Mirror},
			{"recipe digest", m.RecipeDigest},
			{"kernel", m.KernelRelease},
			{"size", formatBytes(m.SizeBytes)},
			{"packages", strconv.Itoa(m.Packages)},
			{"created", formatTime(m.CreatedAt)},
		})
	}
	return cmd
}

func (c *CLI) imageDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "delete IMAGE",
		Short:             "Delete an image that no VM uses",
		Args:              argumentNames("IMAGE"),
		ValidArgsFunction: c.complete(imageNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.Backend.Services().Images.DeleteImage(cmd.Context(), args[0])
		},
	}
}
