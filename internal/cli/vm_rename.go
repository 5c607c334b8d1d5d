package cli

import (
	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename VM NAME",
		Short: "Give a VM another name, running or not",
		Long: `Give a VM another name, running or not. Its sessions and its id stay what they are. A VM
that runs keeps its old host name until it is started again.`,
		Example:           "  banger vm rename dev build",
		Args:              argumentNames("VM", "NAME"),
		ValidArgsFunction: c.complete(vmNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := banger.VMRename{Name: args[1]}
			if err := r.Validate(); err != nil {
				return err
			}
			_, err := c.Backend.Services().VMs.RenameVM(cmd.Context(), args[0], r)
			return err
		},
	}
}
