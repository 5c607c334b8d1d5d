package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program and of the running daemon",
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	asJSON := cmd.Flags().Bool("json", false, "print them as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		versions := struct {
			Version       string `json:"version"`
			DaemonVersion string `json:"daemon_version,omitempty"`
		}{Version: c.Version}
		info, infoErr := c.Backend.Running().Host.Info(cmd.Context())
		switch banger.CodeOf(infoErr) {
		case "":
			versions.DaemonVersion = info.Version
		case banger.CodeUnavailable: // no daemon runs
			infoErr = nil
		}
		if *asJSON {
			if err := c.printJSON(versions); err != nil {
				return err
			}
			return infoErr
		}
		fmt.Fprintf(c.Stdout, "banger %s\n", versions.Version)
		if versions.DaemonVersion != "" {
			fmt.Fprintf(c.Stdout, "daemon %s\n", safe(versions.DaemonVersion))
		}
		return infoErr
	}
	return cmd
}
