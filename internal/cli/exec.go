package cli

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"banger"
	"banger/internal/records"
)

func (c *CLI) execCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec [flags] VM [--] COMMAND [ARG]...",
		Short: "Run a command in a VM and exit with its status",
		Long: `Run a command in a VM as a session, attached to your standard streams, and exit with its
status. Arguments are passed byte for byte; no shell interprets them. A VM that is not
running is started first.

Flags may stand before VM or after it; those of the command follow the command. As with
docker, use -i to pass on your stdin and -t for a terminal. Without -t, stdout and stderr
stay apart, ctrl-c interrupts the command, ctrl-\ detaches, and control characters in the
output that reach a terminal are shown as visible escapes, except colours.

If you detach, or your connection is lost, the command keeps running: the message says how
to come back.`,
		Example: `  banger exec dev -- uname -a
  banger exec -it dev -- bash
  banger exec dev -w /root/src -e CI=1 -- make test
  tar c src | banger exec -i dev -- tar x
  banger exec -d dev --name server -- python3 -m http.server`,
		ValidArgsFunction: c.complete(vmNames),
	}
	e := sessionFlags(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := e.parse(cmd, args); err != nil {
			return err
		}
		if len(e.words) == 0 {
			return fmt.Errorf("COMMAND is missing: banger exec %s -- COMMAND", e.vm)
		}
		return nil
	}
	flags := cmd.Flags()
	flags.BoolVarP(&e.interactive, "interactive", "i", false, "pass on your stdin; the command's is closed when yours ends")
	flags.BoolVarP(&e.request.TTY, "tty", "t", false, "run on a pseudo-terminal of the size of yours")
	detach := flags.BoolP("detach", "d", false, "print the session's name as soon as the command runs, and leave it running")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		e.request.Command, e.request.Args = banger.ByteString(e.words[0]), banger.ByteStrings(e.words[1:])
		if *detach {
			return c.execDetached(cmd.Context(), e)
		}
		return c.exec(cmd.Context(), e)
	}
	return cmd
}

// execution is one session that is started and attached at once.
type execution struct {
	vm    string
	words []string // of the command

	request     banger.SessionRequest
	env         []string
	cwd         string
	keys        detachKeys
	interactive bool
	raw         *bool
	noStart     bool
}

// sessionFlags adds the flags that exec and shell share, by the names that docker has for
// them.
func sessionFlags(cmd *cobra.Command) *execution {
	e := &execution{}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // what follows the command is the command's
	flags.StringArrayVarP(&e.env, "env", "e", nil, "set an environment variable; `KEY[=VALUE]` without a value passes on your own; repeatable")
	flags.StringVarP(&e.cwd, "workdir", "w", "", "working `DIRECTORY`, absolute (default: the user's home)")
	flags.StringVarP(&e.request.User, "user", "u", "", "`USER` in the guest to run as (default root)")
	flags.StringVar(&e.request.Name, "name", "", "session `NAME`, unique in the VM (default: the command's name and a short id)")
	flags.Var(&e.keys, "detach-keys", "keys that detach from a terminal, such as ctrl-p,ctrl-q (default: none; every key is the command's)")
	flags.BoolVar(&e.request.KeepChildren, "keep-children", false, "do not kill processes that outlive the command; redirect their output: they get SIGPIPE if they write to the session")
	flags.BoolVar(&e.noStart, "no-start", false, "fail if the VM is not running, instead of starting it")
	e.raw = rawFlag(cmd)
	return e
}

// parse takes in a command line of the form VM COMMAND. Flags may stand before VM and
// between the two, and end there, with two dashes or without.
func (e *execution) parse(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || args[0] == "" {
		return fmt.Errorf("VM is missing: %s VM -- COMMAND", cmd.CommandPath())
	}
	flags := cmd.Flags()
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if help, err := flags.GetBool("help"); help || err != nil {
		return pflag.ErrHelp
	}
	e.vm, e.words = args[0], flags.Args()
	return nil
}

// complete makes the request from the flags.
func (e *execution) complete(c *CLI) (err error) {
	r := &e.request
	if r.Env, err = environment(e.env); err != nil {
		return err
	}
	r.Cwd, r.StdinMode = banger.ByteString(e.cwd), banger.StdinClosed
	if e.interactive || r.TTY {
		r.StdinMode = banger.StdinPipe
	}
	r.Window = c.firstWindow(*r)
	id := banger.NewSessionID()
	r.IdempotencyKey = string(id)
	if r.Name == "" {
		r.Name = records.DefaultName(r.Launch, id) // to come back, before there is an answer
	}
	return r.Validate()
}

// execDetached starts a session and prints its name.
func (c *CLI) execDetached(ctx context.Context, e *execution) error {
	if err := e.complete(c); err != nil {
		return err
	}
	return c.onRunningVM(ctx, e.vm, e.noStart, func() error {
		s, err := c.Backend.Services().Sessions.StartSession(ctx, e.vm, e.request)
		if err != nil {
			return err
		}
		return c.printStarted(s, false)
	})
}

// exec starts a session and attaches to it, in one request, to its end.
func (c *CLI) exec(ctx context.Context, e *execution) error {
	if err := e.complete(c); err != nil {
		return err
	}
	x := banger.Session{VMID: banger.VMID(e.vm), Name: e.request.Name, Launch: e.request.Launch}
	return c.onRunningVM(ctx, e.vm, e.noStart, func() error {
		o := attachOptions{
			detachKeys: e.keys, raw: *e.raw, noStdin: !e.interactive, eof: e.interactive, from: &banger.LogCursor{}, vm: e.vm,
			first: func(ctx context.Context, opening []byte) (net.Conn, error) {
				return c.Backend.Services().Dialer.DialExec(ctx, e.vm, e.request, opening)
			},
		}
		return c.attachToEnd(ctx, x, o)
	})
}

// onRunningVM does something that needs a VM to run. It starts the VM if that is why it
// failed, unless the user does not want that.
func (c *CLI) onRunningVM(ctx context.Context, ref string, noStart bool, do func() error) error {
	err := do()
	if noStart || banger.CodeOf(err) != banger.CodeState {
		return err
	}
	vm, notFound := c.Backend.Services().VMs.GetVM(ctx, ref)
	if notFound != nil {
		return err
	}
	switch vm.State {
	case banger.VMStopped, banger.VMFailed, banger.VMStopping:
		fmt.Fprintf(c.Stderr, "banger: VM %s is %s; starting it\n", safe(vm.Name), vm.State)
	case banger.VMStarting:
		fmt.Fprintf(c.Stderr, "banger: VM %s is starting; waiting for it\n", safe(vm.Name))
	default:
		return err
	}
	if _, err := c.startVM(ctx, string(vm.ID)); err != nil {
		return err
	}
	return do()
}
