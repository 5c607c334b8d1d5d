package cli

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/records"
)

// completionPatience bounds how long a Tab may wait for the daemon.
const completionPatience = time.Second

// completer finds the names that may stand at the position after args.
type completer func(ctx context.Context, s Services, args []string) ([]string, error)

// complete makes cobra's completion from one completer per position. It asks a
// running daemon and never starts one: a Tab has no such effect.
func (c *CLI) complete(positions ...completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		const noFiles = cobra.ShellCompDirectiveNoFileComp
		if len(args) >= len(positions) {
			return nil, noFiles
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		names, err := positions[len(args)](ctx, c.Backend.Running(), args)
		if err != nil {
			return nil, noFiles
		}
		var fitting []string
		for _, name := range names {
			if strings.HasPrefix(name, prefix) && plainWord(name) {
				fitting = append(fitting, name)
			}
		}
		return fitting, noFiles
	}
}

// plainWord reports whether a shell takes a name as it is for one word that is not an
// option. A shell inserts what is offered without quoting it, and evaluates some of it
// while it completes, so other names, which a guest may have made up, are not offered.
func plainWord(name string) bool {
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_.-+@:,/%", r) {
			return false
		}
	}
	return name != "" && name[0] != '-'
}

// completeFlag has the value of a flag completed.
func (c *CLI) completeFlag(cmd *cobra.Command, flag string, values completer) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
		return c.complete(values)(cmd, nil, prefix)
	})
}

func vmNames(ctx context.Context, s Services, _ []string) ([]string, error) {
	vms, err := s.VMs.ListVMs(ctx)
	return names(vms), err
}

func initNames(context.Context, Services, []string) ([]string, error) {
	var all []string
	for _, i := range banger.Inits() {
		all = append(all, string(i))
	}
	return all, nil
}

func imageNames(ctx context.Context, s Services, _ []string) ([]string, error) {
	images, err := s.Images.ListImages(ctx)
	var names []string
	for _, i := range images {
		names = append(names, i.Names()...)
	}
	return names, err
}

// sessionNames finds the sessions of the VM that is the first argument.
func sessionNames(ctx context.Context, s Services, args []string) ([]string, error) {
	sessions, err := s.Sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: args[0]})
	return names(sessions), err
}

func names[T records.Named](records []T) []string {
	out := make([]string, len(records))
	for i, r := range records {
		_, out[i] = r.Ref()
	}
	return out
}
