package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// argumentNames returns a check for exactly these arguments, which names the
// first one that is missing.
func argumentNames(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing", names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// optionalArgument returns a check for at most one argument.
func optionalArgument() cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("unexpected argument %q", args[1])
		}
		return nil
	}
}

// firstOr returns the first argument, or a default where there is none.
func firstOr(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

// pairs reads arguments of the form KEY=VALUE into a map; what is the noun for
// messages. The value may hold anything, an equals sign too.
func pairs(what string, list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make(map[string]string, len(list))
	for _, item := range list {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, usagef("%s %q is not of the form KEY=VALUE", what, item)
		}
		if _, twice := out[key]; twice {
			return nil, usagef("%s %q is given twice", what, key)
		}
		out[key] = value
	}
	return out, nil
}

// oneOf is a flag that takes one of a few words.
type oneOf struct {
	value   string
	choices []string
}

// addChoice adds such a flag; the first choice is the default.
func addChoice(cmd *cobra.Command, name, usage string, choices ...string) *oneOf {
	f := &oneOf{value: choices[0], choices: choices}
	cmd.Flags().Var(f, name, usage)
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// String implements pflag.Value.
func (f *oneOf) String() string { return f.value }

// Type implements pflag.Value; it is what --help shows.
func (f *oneOf) Type() string { return strings.Join(f.choices, "|") }

// Set implements pflag.Value.
func (f *oneOf) Set(s string) error {
	for _, choice := range f.choices {
		if s == choice {
			f.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(f.choices, ", "))
}
