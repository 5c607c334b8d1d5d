package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this host can run banger",
		Long: `Check whether this host has what banger needs. The first run after a boot may start a
trial guest, which takes a few seconds.

With --deep, every byte of every image is read and compared with what was built. This is
the surest way to find a damaged image behind a VM that misbehaves.`,
		Args:              argumentNames(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	deep := cmd.Flags().Bool("deep", false, "also verify every byte of every image")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		checks, err := c.Backend.Services().Host.Doctor(cmd.Context(), *deep)
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSONList(c, checks)
		} else {
			err = c.printChecks(checks)
		}
		if err != nil {
			return err
		}
		return failedChecks(checks)
	}
	return cmd
}

func (c *CLI) printChecks(checks []banger.Check) error {
	for _, check := range checks {
		if _, err := fmt.Fprintf(c.Stdout, "%-4s  %s: %s\n", check.Status, safe(check.Name), safe(check.Detail)); err != nil {
			return err
		}
		if check.Hint != "" {
			fmt.Fprintf(c.Stdout, "      hint: %s\n", safe(check.Hint))
		}
	}
	return nil
}

// failedChecks is an error if banger cannot work on this host.
func failedChecks(checks []banger.Check) error {
	failed := 0
	for _, check := range checks {
		if check.Status == banger.CheckFail {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return statusError{ExitFailure, fmt.Sprintf("%d of %d checks failed", failed, len(checks))}
}
