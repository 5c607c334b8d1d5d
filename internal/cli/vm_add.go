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
		Short: "Add a host that is reachable by ssh as a VM",
		Long: `Add a host that is reachable by ssh as a VM: a lab server, a cloud instance, a
container with sshd. Sessions there work as in any other VM, but banger neither starts
nor stops the host, and vm delete only forgets it.

Your ssh configuration, agent, keys and known hosts apply. You are asked to confirm an
unknown host key if you are on a terminal; otherwise it is refused. A changed host key is
always refused. banger uploads its agent to ~/.local/state/banger on the host, or to
another directory from which programs can be executed. Nothing else is needed there, and
no root access.`,
		Example: `  banger vm add lab --ssh lab.example.org
  banger vm add box --ssh me@10.0.0.7:2222 --identity ~/.ssh/box_ed25519`,
		Args:              argumentNames("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	var r banger.RemoteRequest
	cmd.Flags().StringVar(&r.SSH, "ssh", "", "the host, as your ssh accepts it: `[USER@]HOST[:PORT]`")
	identity := cmd.Flags().String("identity", "", "private key `FILE` to log in with")
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
		Long: `Give the daemon what it needs to log in to a remote host again: the socket of your
current ssh-agent (SSH_AUTH_SOCK) and, if no other key works, the passphrase of a key,
for which you are asked on a terminal. The daemon keeps both in memory until it exits.`,
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

// withAnswers retries a request until its questions are answered, prints the steps that
// it takes, and prints the VM.
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
