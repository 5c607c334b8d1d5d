package vmm

import (
	"errors"

	"banger"
)

// ErrLoginRefused is among the causes when a remote host was reached and has not let us in,
// or cannot be used: nothing is tried again before there is a reason to.
var ErrLoginRefused = errors.New("the login was refused")

// AgentCommands are how the agent on a remote host is run: command lines for the
// user's login shell there.
type AgentCommands struct {
	Control  string                                // the control process
	Copy     string                                // one copy of files
	Announce string                                // the line that all print before their protocol begins
	Connect  func(session banger.SessionID) string // carries bytes between its streams and a session's socket
}

// StageError says at which stage a launch cannot continue.
type StageError struct {
	Stage banger.LaunchStage
	Err   error
}

// Error returns the cause's.
func (e *StageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *StageError) Unwrap() error { return e.Err }
