package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"banger"
	"banger/internal/signalname"
)

// The exit statuses of banger itself; any other is the command's own, passed on by
// wait. timeout(1), env(1) and docker exec use the same numbers.
const (
	exitOK      = 0
	exitNothing = 1
	exitUsage   = 2
	exitPartly  = 3
	exitTimeout = 124
	exitRefused = 126 // the command of a session exists and cannot be executed
	exitMissing = 127 // it does not exist
	exitSignal  = 128 // plus the signal's number

	// ExitFailure is that of a failure of banger itself.
	ExitFailure = 125
)

// ExitStatusHelp is the table of exit statuses, as --help and the README show it.
const ExitStatusHelp = `  0      success, or detached; session wait: the command exited with status 0
  1      session search: no line matches
  2      usage error or invalid request
  3      session search, session prune: some sessions could not be searched or deleted; cp: some files were not copied
  124    timed out
  125    banger failed, or a session ended without an exit status
  126    the command of a session exists in the guest and cannot be executed
  127    the command of a session does not exist in the guest
  128+n  ended by signal n
  other  exec, shell, run, session attach, session wait and vm ssh: the command's own exit status`

// usageError is an error in how the command line was written.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// statusError makes the CLI exit with a status that is not banger's own. An empty
// message is not printed.
type statusError struct {
	status  int
	message string
}

func (e statusError) Error() string { return e.message }

// exitStatus is the only map from errors to exit statuses.
func exitStatus(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if s, ok := errors.AsType[statusError](err); ok {
		return s.status
	}
	if s, ok := errors.AsType[signalError](context.Cause(ctx)); ok {
		return exitSignal + int(s.signal)
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	switch banger.CodeOf(err) {
	case banger.CodeInvalid:
		return exitUsage
	case banger.CodeTimeout:
		return exitTimeout
	default:
		return ExitFailure
	}
}

// sessionError is nil for a session that exited with status 0. Otherwise it carries
// the command's exit status, or says why there is none.
func sessionError(s banger.Session) error {
	switch {
	case s.ExitSignal != "":
		if n := signalname.Parse(s.ExitSignal); n != 0 {
			return statusError{status: exitSignal + int(n)}
		}
		return statusError{ExitFailure, fmt.Sprintf("session %q was killed by %s", s.Name, s.ExitSignal)}
	case s.ExitCode != nil:
		if *s.ExitCode == 0 {
			return nil
		}
		return statusError{status: *s.ExitCode}
	case s.EndedBy == banger.EndedByLaunch:
		return launchError(s)
	}
	message := fmt.Sprintf("session %q ended without an exit status (%s)", s.Name, s.EndedBy)
	if s.LastError != "" {
		message += ": " + s.LastError
	}
	return statusError{ExitFailure, message}
}

// launchError reports why a session never ran, with the system's own messages.
func launchError(s banger.Session) error {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot launch session %q: stage %s: %s", s.Name, s.LaunchStage, s.LaunchMessage)
	for line := range strings.Lines(strings.TrimSpace(s.LaunchRawLog)) {
		fmt.Fprintf(&b, "\n  | %s", strings.TrimRight(line, "\r\n"))
	}
	return statusError{launchStatus(s.LaunchCause), b.String()}
}

// launchStatus is the exit status of a failed launch.
func launchStatus(cause banger.LaunchCause) int {
	switch cause {
	case banger.LaunchCommandNotFound:
		return exitMissing
	case banger.LaunchCommandNotExecutable:
		return exitRefused
	}
	return ExitFailure
}
