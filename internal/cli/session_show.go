package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"banger"
	"banger/internal/records"
)

func (c *CLI) psCommand() *cobra.Command {
	cmd := c.sessionListCommand()
	cmd.Use, cmd.Aliases = "ps [VM]", nil
	cmd.Short = "List sessions (short for session list)"
	return cmd
}

func (c *CLI) sessionListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list [VM]",
		Aliases: []string{"ps"},
		Short:   "List the sessions of one VM or of all VMs",
		Args:    optionalArgument(),
	}
	cmd.ValidArgsFunction = c.complete(vmNames)
	status := addChoice(cmd, "status", "only sessions in this status", statusChoices()...)
	tags := cmd.Flags().StringArray("tag", nil, "only sessions with this tag `KEY=VALUE`; repeatable")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter := banger.SessionFilter{VM: firstOr(args, "")}
		if status.value != anyStatus {
			filter.Status = banger.Status(status.value)
		}
		var err error
		if filter.Tags, err = pairs("--tag", *tags); err != nil {
			return err
		}
		service := c.Backend.Services().Sessions
		if *asJSON {
			sessions, err := service.ListSessions(cmd.Context(), filter)
			if err != nil {
				return err
			}
			return printJSONList(c, sessions)
		}
		sessions, err := service.SummarizeSessions(cmd.Context(), filter)
		if err != nil {
			return err
		}
		return c.printSessions(cmd.Context(), filter.VM, sessions)
	}
	return cmd
}

const anyStatus = "any"

func statusChoices() []string {
	choices := []string{anyStatus}
	for _, s := range banger.Statuses() {
		choices = append(choices, string(s))
	}
	return choices
}

// printSessions prints the sessions of the VM that ref means, of all if it is empty.
func (c *CLI) printSessions(ctx context.Context, ref string, sessions []banger.SessionSummary) error {
	vms, err := c.Backend.Services().VMs.ListVMs(ctx)
	if err != nil {
		return err
	}
	vmName := make(map[banger.VMID]string, len(vms))
	for _, vm := range vms {
		vmName[vm.ID] = vm.Name
	}
	for _, vm := range vms {
		if asked, err := records.Resolve("vm", ref, vms); vm.SessionsUnknown && (ref == "" || err == nil && asked.ID == vm.ID) {
			fmt.Fprintf(c.Stderr, "banger: some sessions of VM %s may be missing here: %s\n", vm.Name, sessionsUnknownText)
		}
	}
	rows := make([][]string, len(sessions))
	for i, s := range sessions {
		rows[i] = []string{vmName[s.VMID], s.Name, string(s.Status), outcome(s),
			formatTime(s.CreatedAt), string(s.ID), s.CommandLine}
	}
	return table(c.Stdout, []string{"VM", "NAME", "STATUS", "EXIT", "CREATED", "ID", "COMMAND"}, rows)
}

// outcome is the end of a session in one word: its exit status, its signal, or
// else what ended it.
func outcome(s banger.SessionSummary) string {
	switch {
	case s.ExitSignal != "":
		return s.ExitSignal
	case s.ExitCode != nil:
		return strconv.Itoa(*s.ExitCode)
	default:
		return string(s.EndedBy)
	}
}

func (c *CLI) sessionShowCommand() *cobra.Command {
	cmd := c.sessionCmd("show", "Show one session", "Show one session. The counters of a running session are current if its guest can be\nreached.")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := c.Backend.Services().Sessions.InspectSession(cmd.Context(), args[0], args[1])
		if err != nil {
			return err
		}
		if *asJSON {
			return c.printJSON(s)
		}
		return printFields(c.Stdout, sessionFields(s))
	}
	return cmd
}

func sessionFields(s banger.Session) []field {
	fields := []field{
		{"name", s.Name},
		{"id", string(s.ID)},
		{"vm id", string(s.VMID)},
		{"command", s.CommandLine(0)},
		{"cwd", string(s.Cwd)},
		{"user", s.User},
		{"stdin", string(s.StdinMode)},
		{"tty", map[bool]string{true: "yes"}[s.TTY]},
		{"limits", limitText(s.Launch)},
		{"stop signal", s.StopSignal},
		{"status", string(s.Status)},
		{"exit", outcome(s.Summary())},
		{"ended by", string(s.EndedBy)},
		{"launch stage", string(s.LaunchStage)},
		{"launch cause", string(s.LaunchCause)},
		{"launch message", s.LaunchMessage},
		{"launch log", s.LaunchRawLog},
		{"last error", s.LastError},
		{"stopped", stopText(s.StopSteps)},
		{"survivors", survivorText(s.Survivors)},
		{"cpu time", durationText(time.Duration(s.Usage.CPUTimeUS) * time.Microsecond)},
		{"memory peak", sizeText(s.Usage.MemoryPeakBytes)},
		{"oom kills", positive(s.Usage.OOMKills)},
		{"guest pid", positive(int64(s.GuestPID))},
		{"stdin bytes", positive(s.StdinOffset)},
		{"stdout bytes", positive(s.StdoutBytes)},
		{"stderr bytes", positive(s.StderrBytes)},
		{"stdout log", s.StdoutLogPath},
		{"stderr log", s.StderrLogPath},
		{"created", formatTime(s.CreatedAt)},
		{"started", formatTime(s.StartedAt)},
		{"ended", formatTime(s.EndedAt)},
	}
	for _, key := range slices.Sorted(maps.Keys(s.Env)) {
		fields = append(fields, field{"env", key + "=" + string(s.Env[key])})
	}
	for _, key := range s.SecretEnv {
		fields = append(fields, field{"secret env", key})
	}
	for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
		fields = append(fields, field{"tag", key + "=" + s.Tags[key]})
	}
	return fields
}

// limitText shows what a session is limited to.
func limitText(l banger.Launch) string {
	var parts []string
	note := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	note("time", durationText(time.Duration(l.TimeoutMS)*time.Millisecond))
	note("memory", sizeText(l.Limits.MemoryBytes))
	if l.Limits.CPUs > 0 {
		note("cpus", strconv.FormatFloat(l.Limits.CPUs, 'g', -1, 64))
	}
	note("pids", positive(l.Limits.PIDs))
	return strings.Join(parts, ", ")
}

// stopText shows what was done to end a session, a line each.
func stopText(steps []banger.StopStep) string {
	var lines []string
	for _, step := range steps {
		line := formatTime(step.At) + " " + step.Signal + " (" + string(step.Cause) + ")"
		if step.By != "" {
			line += " by " + step.By
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// survivorText shows the processes that outlived a session's command, a line each.
func survivorText(s *banger.Survivors) string {
	if s == nil {
		return ""
	}
	var lines []string
	for _, p := range s.Processes {
		lines = append(lines, strconv.Itoa(p.PID)+" "+p.Command)
	}
	if more := s.Count - len(s.Processes); more > 0 {
		lines = append(lines, "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(lines, "\n")
}

// durationText shows a time, "" for none.
func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(time.Millisecond).String()
}

// sizeText shows a number of bytes, "" for none.
func sizeText(n int64) string {
	if n == 0 {
		return ""
	}
	return formatBytes(n)
}

// positive shows a number, "" for zero.
func positive(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
