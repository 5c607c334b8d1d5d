package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) vmAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add NAME --ssh [USER@]HOST[:PORT]",
		Short: "Use a host that ssh reaches as a VM",
		Long: `Use a host that ssh reaches as a VM: a lab server, a cloud instance, a container
with sshd. Sessions there are as in any VM. The host itself stays its owner's:
banger neither starts nor stops it, and vm delete only forgets it.

Your ssh configuration, agent, keys and known hosts apply. An unknown host key is
asked about on a terminal and refused elsewhere; one that has changed is refused.
The agent is uploaded for the host's CPU, into ~/.local/state/banger there or
wherever a program can be executed; nothing else is needed, no root either.`,
		Example: `  banger vm add lab --ssh lab.example.org
  banger vm add box --ssh me@10.0.0.7:2222 --identity ~/.ssh/box_ed25519`,
		Args:              argumentNames("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.RemoteRequest
	cmd.Flags().StringVar(&r.SSH, "ssh", "", "the host, as your ssh takes it: [USER@]HOST[:PORT]")
	identity := cmd.Flags().String("identity", "", "file of the private key to log in with")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r.Name = args[0]
		if r.SSH == "" {
			return usagef("--ssh is missing: banger vm add NAME --ssh [USER@]HOST[:PORT]")
		}
		if *identity != "" {
			path, err := filepath.Abs(*identity)
			if err != nil {
				return err
			}
			r.IdentityFile = path
		}
		if err := r.Validate(); err != nil {
			return err
		}
		return c.withAnswers(cmd.Context(), *asJSON, func(ctx context.Context, a banger.RemoteAnswers) (banger.VM, error) {
			r.Answers = a
			return c.Backend.Services().Remotes.AddRemote(ctx, r)
		})
	}
	return cmd
}

func (c *CLI) vmUnlockCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unlock VM",
		Short: "Give the daemon your ssh-agent or a passphrase for a remote host again",
		Long: `Give the daemon what logs in to a remote host again: the socket of your ssh-agent
(SSH_AUTH_SOCK) as it is now, and if there is no other key, the passphrase of one,
which is asked for on a terminal. The daemon keeps both in memory until it ends.`,
		Args:              argumentNames("VM"),
		ValidArgsFunction: c.complete(vmNames),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withAnswers(cmd.Context(), *asJSON, func(ctx context.Context, a banger.RemoteAnswers) (banger.VM, error) {
			return c.Backend.Services().Remotes.UnlockRemote(ctx, args[0], a)
		})
	}
	return cmd
}

// withAnswers tries something until its questions are answered, says the steps that it
// takes, and prints the VM.
func (c *CLI) withAnswers(ctx context.Context, asJSON bool, try func(context.Context, banger.RemoteAnswers) (banger.VM, error)) error {
	began := time.Now()
	ctx = banger.WithSteps(ctx, func(step string) {
		fmt.Fprintf(c.Stderr, "%6.1fs  %s\n", time.Since(began).Seconds(), safe(step))
	})
	vm, err := c.askAll(ctx, try)
	switch {
	case err != nil:
		return err
	case asJSON:
		return c.printJSON(vm)
	}
	_, err = fmt.Fprintln(c.Stdout, vm.Name)
	return err
}
