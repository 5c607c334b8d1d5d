package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"banger"
)

func (c *CLI) sessionStartCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "start VM [flags] -- COMMAND [ARG]...",
		Short: "Start a command in a VM and print the session's name",
		Long: `Start a command in a VM and print the session's name. It returns as soon as the
command runs. No shell reads the arguments; they arrive byte for byte.

A launch that fails is printed with its stage and kept as a failed session.`,
		Example: `  banger session start dev --name tests --cwd /root/src -- make test
  banger session start dev --stdin pipe -- sort
  banger session start dev -- sh -c 'for i in 1 2 3; do echo $i; done'`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case len(args) == 0 || dash == 0:
				return errors.New("VM is missing: banger session start VM -- COMMAND")
			case dash != 1:
				return errors.New("put the command after two dashes: banger session start VM -- COMMAND")
			case len(args) == 1:
				return errors.New("COMMAND is missing: banger session start VM -- COMMAND")
			}
			return nil
		},
		ValidArgsFunction: c.complete(vmNames),
	}
	request := launchFlags(cmd)
	limits := limitFlags(cmd)
	attach := attachFlags(cmd)
	attached := cmd.Flags().Bool("attach", false, "attach to it at once, from its first byte on; the end of our stdin is its end of stdin")
	asJSON := jsonFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("attach", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *attached {
			c.defaultToTTY(cmd)
		}
		r, err := request(args[1:])
		if err != nil {
			return err
		}
		r.Limits = limits()
		if err := r.Validate(); err != nil {
			return err
		}
		if *attached {
			r.Window, r.NoWait = c.firstWindow(r), true
		}
		s, err := c.Backend.Services().Sessions.StartSession(cmd.Context(), args[0], r)
		if err != nil {
			return err
		}
		if *attached {
			o := attach()
			o.from, o.eof = &banger.LogCursor{}, !o.noStdin
			return c.attachToEnd(cmd.Context(), s, o)
		}
		return c.printStarted(s, *asJSON)
	}
	return cmd
}

func (c *CLI) printStarted(s banger.Session, asJSON bool) error {
	var err error
	if asJSON {
		err = c.printJSON(s)
	} else {
		_, err = fmt.Fprintln(c.Stdout, safe(s.Name))
	}
	if err == nil && s.EndedBy == banger.EndedByLaunch {
		err = launchError(s)
	}
	return err
}

// launchFlags adds the flags of a launch; the result makes the request from them.
func launchFlags(cmd *cobra.Command) func(argv []string) (banger.SessionRequest, error) {
	flags := cmd.Flags()
	var r banger.SessionRequest
	flags.StringVar(&r.Name, "name", "", "name, unique in the VM (default: the command's and a short id)")
	flags.StringVar(&r.User, "user", "", "user in the guest (default root)")
	flags.StringVar(&r.IdempotencyKey, "idempotency-key", "", "return the first session of this key instead of starting a second, unless its launch never reached the guest")
	flags.BoolVar(&r.TTY, "tty", false, "run on a pseudo-terminal; implies --stdin pipe")
	cwd := flags.String("cwd", "", "working directory, absolute (default: the user's home)")
	env := flags.StringArray("env", nil, "KEY=VALUE to add to the environment, or KEY to pass on your own; may be repeated")
	secrets := flags.StringArray("secret-env", nil, "NAME of a variable of your own environment to pass on: its value is kept in no record, log or file, and stands in no list of processes; may be repeated")
	tags := flags.StringArray("tag", nil, "KEY=VALUE to find the session by; may be repeated")
	required := flags.StringArray("require", nil, "command that must exist before anything runs; may be repeated")
	limit := logLimit(banger.DefaultLogLimit)
	flags.Var(&limit, "log-limit", "bytes kept of each output stream, the newest; none keeps all")
	flags.BoolVar(&r.SyncWrites, "sync", false, "have each piece of output on the disk before the next is read: a crash of the VM takes none of it, but the command waits for the disk at each (else at most the last second is lost)")
	timeout := flags.Duration("timeout", 0, "stop it after this time (default: never)")
	grace := flags.Duration("timeout-grace", banger.DefaultStopGrace, "time between SIGTERM and SIGKILL of that stop")
	flags.BoolVar(&r.KeepChildren, "keep-children", false, "leave processes alone that outlive the command; redirect their output, since to write to the session's is then an error (SIGPIPE)")
	stdin := addChoice(cmd, "stdin", "standard input: at its end from the start, or fed by session send",
		string(banger.StdinClosed), string(banger.StdinPipe))
	return func(argv []string) (banger.SessionRequest, error) {
		var err error
		if r.Env, err = environment(*env); err != nil {
			return r, err
		}
		if r.SecretEnv, err = secretEnvironment(*secrets); err != nil {
			return r, err
		}
		if r.Tags, err = pairs("--tag", *tags); err != nil {
			return r, err
		}
		r.Command, r.Args = banger.ByteString(argv[0]), banger.ByteStrings(argv[1:])
		r.Cwd = banger.ByteString(*cwd)
		r.RequiredCommands = banger.ByteStrings(*required)
		if flags.Changed("log-limit") {
			r.LogLimit = int64(limit)
		}
		if r.TimeoutMS, err = milliseconds("--timeout", *timeout); err != nil {
			return r, err
		}
		if flags.Changed("timeout-grace") {
			ms, err := milliseconds("--timeout-grace", *grace)
			if err != nil {
				return r, err
			}
			r.TimeoutGraceMS = &ms
		}
		r.StdinMode = banger.StdinMode(stdin.value)
		if r.TTY && !flags.Changed("stdin") {
			r.StdinMode = banger.StdinPipe
		}
		return r, r.Validate()
	}
}

// milliseconds returns the value of a flag, rounded up: little is not nothing.
func milliseconds(flag string, d time.Duration) (int64, error) {
	if d < 0 {
		return 0, usagef("%s %s is negative", flag, d)
	}
	return (d + time.Millisecond - 1).Milliseconds(), nil
}

// limitFlags adds the flags of a session's limits within its VM.
func limitFlags(cmd *cobra.Command) func() banger.Limits {
	var memory sizeMiB
	flags := cmd.Flags()
	flags.Var(&memory, "memory", "memory that its processes may have together (default: the VM's)")
	cpus := flags.Float64("cpus", 0, "CPUs that its processes may use together, such as 0.5 (default: the VM's)")
	pids := flags.Int64("pids", 0, "processes and threads that it may have (default: no limit)")
	return func() banger.Limits {
		return banger.Limits{MemoryBytes: int64(memory) << 20, CPUs: *cpus, PIDs: *pids}
	}
}

// secretEnvironment reads the values of --secret-env from our own environment.
func secretEnvironment(names []string) (banger.SecretEnv, error) {
	if len(names) == 0 {
		return nil, nil
	}
	secrets := make(banger.SecretEnv, len(names))
	for _, name := range names {
		if bare, _, ok := strings.Cut(name, "="); ok {
			return nil, usagef("--secret-env %s has a value, which everybody on this host can read in the list of processes: set the variable %s in your environment, and give only its name", bare, bare)
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, usagef("--secret-env %s: there is no such variable in your environment", name)
		}
		secrets[name] = banger.ByteString(value)
	}
	return secrets, nil
}

// environment reads the values of --env. One without a value is taken from our
// own environment, so that a secret need not stand on a command line.
func environment(list []string) (map[string]banger.ByteString, error) {
	full := make([]string, len(list))
	for i, item := range list {
		full[i] = item
		if strings.Contains(item, "=") {
			continue
		}
		value, ok := os.LookupEnv(item)
		if !ok {
			return nil, usagef("--env %s has no value, and your environment has none either", item)
		}
		full[i] = item + "=" + value
	}
	variables, err := pairs("--env", full)
	if err != nil || len(variables) == 0 {
		return nil, err
	}
	env := make(map[string]banger.ByteString, len(variables))
	for key, value := range variables {
		env[key] = banger.ByteString(value)
	}
	return env, nil
}
