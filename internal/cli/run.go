package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

// cleanUpTimeout bounds how long deleting the VM of a run may take.
const cleanUpTimeout = time.Minute

func (c *CLI) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] [IMAGE] [-- COMMAND [ARG]...]",
		Short: "Run a command in a new VM and delete the VM afterwards",
		Long: `Create and start a VM, run a command in it as a session attached to your terminal or
standard streams, and delete the VM when the command ends. The exit status is the
command's.

IMAGE is an OCI image, which is pulled if it is not here, or another one that is here; the
default is the image of banger image build. Without COMMAND, the image's own command runs.
As with docker and podman, COMMAND replaces the image's command, not its entry point, and
--entrypoint replaces both: it gets COMMAND as its arguments.

If you are on a terminal, the command runs on one too (unless --tty=false). If you
detach, the VM is kept.`,
		Example: `  banger run -- uname -a
  banger run node:22 -- node -e 'console.log(1)'
  banger run --memory 2G -- bash
  tar c . | banger run --cwd /tmp -- sh -c 'tar x && make test'`,
		Args:              runArguments,
		ValidArgsFunction: c.complete(imageNames),
	}
	machine := c.vmFlags(cmd)
	launch := launchFlags(cmd)
	attach := attachFlags(cmd)
	const entrypoint = "entrypoint"
	program := cmd.Flags().String(entrypoint, "", "run `PROGRAM`, with COMMAND as its arguments, instead of the image's entry point and command; \"\" runs COMMAND alone")
	keep := cmd.Flags().Bool("keep", false, "keep the VM after the command has ended")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		image, command := splitRun(cmd, args)
		vm, err := machine(image)
		if err != nil {
			return err
		}
		c.defaultToTTY(cmd)
		whole := cmd.Flags().Changed(entrypoint)
		if *program != "" {
			command = append([]string{*program}, command...)
		}
		if whole && len(command) == 0 {
			return usagef("without an entry point there is nothing to run: give the command after two dashes")
		}
		request, err := launch(command)
		if err != nil {
			return err
		}
		request.Window = c.firstWindow(request)
		o := attach()
		o.from, o.eof, o.forward = &banger.LogCursor{}, !o.noStdin, true
		return c.run(cmd.Context(), vm, request, o, runOptions{keep: *keep, whole: whole})
	}
	return cmd
}

// runArguments checks for [IMAGE] [-- COMMAND].
func runArguments(cmd *cobra.Command, args []string) error {
	image, command := splitRun(cmd, args)
	switch dashes := cmd.ArgsLenAtDash() >= 0; {
	case len(image) > 1:
		return fmt.Errorf("the command must follow two dashes: banger run %s -- COMMAND", image[0])
	case dashes && len(command) == 0:
		return errors.New("COMMAND is missing after the two dashes")
	case len(args) == 0 && !cmd.Flags().Changed("entrypoint"):
		return errors.New("COMMAND is missing: banger run -- COMMAND, or banger run IMAGE")
	}
	return nil
}

// splitRun returns what stands before the two dashes, and behind them.
func splitRun(cmd *cobra.Command, args []string) (image, command []string) {
	dash := cmd.ArgsLenAtDash()
	if dash < 0 {
		dash = len(args)
	}
	return args[:dash], args[dash:]
}

// defaultToTTY makes a session that is attached at once use a terminal if we have
// one, and an open stdin, unless the user chose otherwise.
func (c *CLI) defaultToTTY(cmd *cobra.Command) {
	flags := cmd.Flags()
	if !flags.Changed("tty") && !flags.Changed("stdin") && userTerminal(c.Stdin, c.Stdout) != nil {
		_ = flags.Set("tty", "true")
	}
	if !flags.Changed("stdin") {
		_ = flags.Set("stdin", string(banger.StdinPipe))
	}
}

// firstWindow is the size of our terminal for a session that is attached at once.
func (c *CLI) firstWindow(r banger.SessionRequest) *banger.Window {
	if !r.TTY {
		return nil
	}
	return userTerminal(c.Stdin, c.Stdout).window()
}

// hasCommand reports whether the image of a VM has a command of its own.
func hasCommand(vm banger.VM) bool {
	return vm.ImageConfig != nil && len(vm.ImageConfig.Entrypoint)+len(vm.ImageConfig.Cmd) > 0
}

// runOptions are choices of run.
type runOptions struct {
	keep  bool // the VM, in any case
	whole bool // the request has all of the command: nothing of it is the image's
}

// run creates a VM, runs one session in it to its end and deletes the VM, unless the
// session keeps running.
func (c *CLI) run(ctx context.Context, machine banger.VMRequest, r banger.SessionRequest, o attachOptions, options runOptions) (err error) {
	s := c.Backend.Services()
	vm, err := c.newVM(ctx, machine)
	if err != nil {
		return err
	}
	detached := false
	defer func() {
		if options.keep || detached {
			fmt.Fprintf(c.Stderr, "banger: VM %s is kept; delete it with: banger vm delete --force %s\n", vm.Name, vm.Name)
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
		defer cancel()
		if deleteErr := s.VMs.DeleteVM(ctx, string(vm.ID), true); deleteErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot delete the VM of the run: %w", deleteErr))
		}
	}()
	switch { // before it boots
	case r.Command == "" && !hasCommand(vm):
		return usagef("image %s has no command of its own: banger run %[1]s -- COMMAND", safe(machine.Image))
	case options.whole && vm.ImageConfig != nil: // as with podman, it is stopped as the image says
		r.StopSignal = cmp.Or(r.StopSignal, vm.ImageConfig.StopSignal)
	case r.Command != "" && vm.ImageConfig != nil: // the image's entry point begins it
		r.Command, r.Args = "", append([]banger.ByteString{r.Command}, r.Args...)
	}
	if _, err := c.startVM(ctx, string(vm.ID)); err != nil {
		return err
	}
	r.NoWait = true
	x, err := s.Sessions.StartSession(ctx, string(vm.ID), r)
	if err != nil {
		return err
	}
	o.vm = vm.Name
	state, err := c.attach(ctx, x, o)
	detached = state == nil
	if detached || err != nil {
		return err
	}
	x.SessionState = *state
	return sessionError(x)
}
