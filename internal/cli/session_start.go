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
command runs. Arguments are passed byte for byte; no shell interprets them.

In a VM of an OCI image, the image's variables, user and working directory are the defaults,
and without -- COMMAND its own command runs: the entry point with its arguments.

If the launch fails, the stage that failed is printed and the failed session is kept.`,
		Example: `  banger session start dev --name tests --cwd /root/src -- make test
  banger session start dev --name shell --tty --attach -- bash
  banger session start dev --stdin pipe -- sort
  banger session start dev -- sh -c 'for i in 1 2 3; do echo $i; done'`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case len(args) == 0 || dash == 0:
				return errors.New("VM is missing: banger session start VM -- COMMAND")
			case dash < 0 && len(args) == 1:
				return nil // the command of the VM's image
			case dash != 1:
				return errors.New("the command must follow two dashes: banger session start VM -- COMMAND")
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
	attached := cmd.Flags().Bool("attach", false, "attach immediately, from the first byte; the session's stdin is closed when yours ends")
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
		if err := validateLaunch(r); err != nil {
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
			o.vm, o.from, o.eof = args[0], &banger.LogCursor{}, !o.noStdin
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
	flags.StringVar(&r.Name, "name", "", "session `NAME`, unique in the VM (default: the command's name and a short id)")
	flags.StringVar(&r.User, "user", "", "`USER[:GROUP]` in the guest to run as, by name or number (default: that of the image, else root)")
	flags.StringVar(&r.IdempotencyKey, "idempotency-key", "", "if a session was already started with this `KEY`, return it instead of starting another, unless its launch never reached the guest")
	flags.BoolVar(&r.TTY, "tty", false, "run on a pseudo-terminal; implies --stdin pipe")
	cwd := flags.String("cwd", "", "working `DIRECTORY`, absolute (default: the user's home)")
	env := flags.StringArray("env", nil, "set an environment variable; `KEY[=VALUE]` without a value passes on your own; repeatable")
	secrets := flags.StringArray("secret-env", nil, "pass on the variable `NAME` of your environment and keep its value out of records, logs, files and process lists; repeatable")
	tags := flags.StringArray("tag", nil, "label the session with `KEY=VALUE`, which list and search can select by; repeatable")
	required := flags.StringArray("require", nil, "fail the launch unless this `COMMAND` exists in the guest; repeatable")
	limit := logLimit(banger.DefaultLogLimit)
	flags.Var(&limit, "log-limit", "keep only the newest output, up to this much of each stream; none keeps all")
	flags.BoolVar(&r.SyncWrites, "sync", false, "fsync every write: nothing is lost if the VM crashes, but output is slower (default: up to 1 s may be lost)")
	timeout := flags.Duration("timeout", 0, "stop the session after this time (default: never)")
	grace := flags.Duration("timeout-grace", banger.DefaultStopGrace, "time between the stop signal and SIGKILL when --timeout expires")
	flags.StringVar(&r.StopSignal, "stop-signal", "", "`SIGNAL` that stop sends to the command alone (default: for an image's own command that of the image, else SIGTERM to all processes)")
	flags.BoolVar(&r.KeepChildren, "keep-children", false, "do not kill processes that outlive the command; redirect their output: they get SIGPIPE if they write to the session")
	stdin := addChoice(cmd, "stdin", "standard input: closed from the start, or a pipe for attach and send",
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
		if len(argv) > 0 {
			r.Command, r.Args = banger.ByteString(argv[0]), banger.ByteStrings(argv[1:])
		}
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
		return r, validateLaunch(r)
	}
}

// validateLaunch is Validate, for a request that may leave the command to the VM's image.
func validateLaunch(r banger.SessionRequest) error {
	if r.Command == "" {
		r.Command = "the image's"
	}
	return r.Validate()
}

// milliseconds returns the value of a flag, rounded up so that a short time is not zero.
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
	flags.Var(&memory, "memory", "memory limit for all of its processes together (default: the VM's)")
	cpus := flags.Float64("cpus", 0, "CPU limit for all of its processes together, such as 0.5 (default: the VM's)")
	pids := flags.Int64("pids", 0, "limit on its processes and threads (default: none)")
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
			return nil, usagef("--secret-env %s has a value, which every user of this host can read in the process list: set the variable %s in your environment and pass only its name", bare, bare)
		}
		value, ok := os.LookupEnv(name)
		if !ok {
			return nil, usagef("--secret-env %s: not set in your environment", name)
		}
		secrets[name] = banger.ByteString(value)
	}
	return secrets, nil
}

// environment reads the values of --env. One without a value is taken from our own
// environment, so that a secret need not appear on a command line.
func environment(list []string) (map[string]banger.ByteString, error) {
	full := make([]string, len(list))
	for i, item := range list {
		full[i] = item
		if strings.Contains(item, "=") {
			continue
		}
		value, ok := os.LookupEnv(item)
		if !ok {
			return nil, usagef("--env %s has no value and is not set in your environment", item)
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
