package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// group makes a command that only holds others. Without one of them it is a usage
// error, so that a script with a slip in it does not continue.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:                   use + " COMMAND",
		Short:                 short,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("COMMAND is missing")
			}
			return fmt.Errorf("unknown command %q", args[0])
		},
		ValidArgsFunction: completeAlias,
		RunE:              func(*cobra.Command, []string) error { return nil },
	}
	for _, sub := range commands {
		sub.Aliases = append(habits(sub.Name()), sub.Aliases...)
	}
	cmd.AddCommand(commands...)
	return cmd
}

// habits returns the other words for a verb that users type from habit. They work for
// every noun.
func habits(verb string) []string {
	switch verb {
	case "delete":
		return []string{"rm"}
	case "list":
		return []string{"ls"}
	}
	return nil
}

// completeAlias offers the aliases of a group's commands where no command's own name
// fits: both at once would make every Tab ambiguous.
func completeAlias(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var fitting []string
	for _, sub := range cmd.Commands() {
		if len(args) > 0 || strings.HasPrefix(sub.Name(), prefix) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, alias := range sub.Aliases {
			if strings.HasPrefix(alias, prefix) {
				fitting = append(fitting, cobra.CompletionWithDesc(alias, sub.Short))
			}
		}
	}
	return fitting, cobra.ShellCompDirectiveNoFileComp
}

// usageTemplate is cobra's, with each command's aliases beside its name, and one usage
// line for a command that only holds others.
const usageTemplate = `Usage:
  {{if and .HasAvailableSubCommands (not .Runnable)}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}{{if .Aliases}}

Aliases:
  {{.NameAndAliases}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Commands:{{range .Commands}}{{if or .IsAvailableCommand (eq .Name "help")}}
  {{rpad .NameAndAliases 12}}  {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableInheritedFlags}}

Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

Run "{{.CommandPath}} COMMAND --help" for more about a command.{{end}}
`
