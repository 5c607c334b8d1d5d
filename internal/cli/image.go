package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) imageCommand() *cobra.Command {
	return group("image", "Build, pull and manage images for VMs",
		c.imageBuildCommand(), c.imagePullCommand(), c.imageImportCommand(), c.imageTagCommand(),
		c.imageListCommand(), c.imageShowCommand(), c.imageDeleteCommand(), c.imagePruneCommand())
}

func (c *CLI) imageBuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [NAME]",
		Short: "Build a Debian image",
		Long: `Build a Debian image with its kernel and name it. An existing image with the same
recipe is reused. It has git, curl, python3, less, vi, rsync and sudo, and beside root the
user dev, who becomes root by sudo.`,
		Example:           "  banger image build\n  banger image build web --include nodejs --suite trixie",
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
			rows[i] = []string{strings.Join(m.Names(), ", "), origin(m), formatBytes(m.SizeBytes), formatTime(m.CreatedAt), string(m.ID)}
		}
		return table(c.Stdout, []string{"NAME", "FROM", "SIZE", "CREATED", "ID"}, rows)
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
		return printFields(c.Stdout, append([]field{
			{"name", m.Name},
			{"further names", strings.Join(m.Tags, " ")},
			{"id", string(m.ID)},
			{"size", formatBytes(m.SizeBytes)},
			{"created", formatTime(m.CreatedAt)},
		}, imageFields(m)...))
	}
	return cmd
}

// origin says in a word or two what an image was made of.
func origin(m banger.Image) string {
	if m.OCI == nil {
		return "debian " + m.Recipe.Suite
	}
	if len(m.OCI.Layers) == 1 {
		return "oci, 1 layer"
	}
	return fmt.Sprintf("oci, %d layers", len(m.OCI.Layers))
}

// imageFields are those of an image of its kind.
func imageFields(m banger.Image) []field {
	if m.OCI == nil {
		return []field{
			{"suite", m.Recipe.Suite},
			{"include", strings.Join(m.Recipe.Include, " ")},
			{"mirror", m.Recipe.Mirror},
			{"recipe digest", m.RecipeDigest},
			{"kernel", m.KernelRelease},
			{"packages", strconv.Itoa(m.Packages)},
		}
	}
	layers := make([]string, len(m.OCI.Layers))
	for n, l := range m.OCI.Layers {
		layers[n] = fmt.Sprintf("%s %s", l.Digest, formatBytes(l.SizeBytes))
	}
	c := m.OCI.Config
	return []field{
		{"source", m.OCI.Source},
		{"platform", m.OCI.Platform},
		{"digest", m.OCI.Digest},
		{"config digest", m.OCI.ConfigDigest},
		{"entrypoint", formatList(c.Entrypoint)},
		{"cmd", formatList(c.Cmd)},
		{"env", strings.Join(c.Env, "\n")},
		{"user", c.User},
		{"working dir", c.WorkingDir},
		{"stop signal", c.StopSignal},
		{"layers", strings.Join(layers, "\n")},
	}
}

// formatList shows arguments so that each can be told from the next.
func formatList(arguments []string) string {
	if len(arguments) == 0 {
		return ""
	}
	return fmt.Sprintf("%q", arguments)
}

func (c *CLI) imageDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete IMAGE",
		Short: "Delete an image that no VM uses",
		Long: `Delete an image that no VM uses, with the layers that no other image has. If IMAGE is one
of several names of the image, the image only loses that name.`,
		Args:              argumentNames("IMAGE"),
		ValidArgsFunction: c.complete(imageNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.Backend.Services().Images.DeleteImage(cmd.Context(), args[0])
		},
	}
}
