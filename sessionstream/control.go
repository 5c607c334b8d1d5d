package sessionstream

import (
	"fmt"
	"time"

	"banger"
)

// Control is a message on ChannelControl: one of the pointer types below. On the
// wire it is an object with one member, the control's type, whose value is the
// control: {"stop":{"grace_ms":5000}}.
type Control interface {
	controlType() string
	// check refuses what no peer may send; the error is an *Error.
	check() error
}

// Role is what a client wants of a session.
type Role string

// The roles.
const (
	// RoleObserver is told of every change of the session's state and may stop it.
	RoleObserver Role = "observer"
	// RoleStdin feeds the session's standard input.
	RoleStdin Role = "stdin"
)

// MaxGrace bounds the time between SIGTERM and SIGKILL of a stop.
const MaxGrace = 24 * time.Hour

// The controls of a client.
type (
	// Attach is its first.
	Attach struct {
		Role Role `json:"role"`
		// StdinOffset, for RoleStdin, is the position of the first byte that it
		// sends; nil puts every frame at the end of what has been accepted.
		StdinOffset *int64 `json:"stdin_offset,omitempty"`
	}
	// Stop ends the session: SIGTERM, and SIGKILL after the grace; 0 kills at once.
	Stop struct {
		GraceMS int64 `json:"grace_ms"`
	}
	// EOF closes the session's stdin, at Offset if that is not nil.
	EOF struct {
		Offset *int64 `json:"offset,omitempty"`
	}
	// Ping is answered with a Pong when all earlier controls have taken effect.
	Ping struct{}
)

// The controls of a server. Only Error is sent by clients too.
type (
	// Attached is the first, if the client's Attach was accepted.
	Attached struct {
		State banger.SessionState `json:"state"`
	}
	// State tells an observer of a change.
	State struct {
		State banger.SessionState `json:"state"`
	}
	// Exit tells an observer the final state; nothing follows it.
	Exit struct {
		State banger.SessionState `json:"state"`
	}
	// StdinAck says how much of stdin has been accepted since the session began,
	// and whether stdin is closed.
	StdinAck struct {
		Offset int64 `json:"offset"`
		EOF    bool  `json:"eof"`
	}
	// Pong answers Ping.
	Pong struct{}
	// Error refuses what the peer sent. The sender then closes the connection,
	// except for a control of a type that it does not know. It is also the error
	// of a Reader.
	Error struct {
		Code ErrorCode `json:"code"`
		Text string    `json:"text"`
		// Offset, with CodeOffset and CodeClosed, is how much of stdin has been accepted.
		Offset *int64 `json:"offset,omitempty"`
	}
)

// ErrorCode classifies an Error. Codes are append-only.
type ErrorCode string

// The codes.
const (
	CodeInvalid     ErrorCode = "invalid"     // it breaks the format, or comes at the wrong time
	CodeVersion     ErrorCode = "version"     // another version of the format
	CodeUnsupported ErrorCode = "unsupported" // a control of an unknown type, an unknown role; it was ignored
	CodeBusy        ErrorCode = "busy"        // too many connections
	CodeOffset      ErrorCode = "offset"      // a gap in stdin, or an EOF before its end
	CodeClosed      ErrorCode = "closed"      // stdin takes no more
	CodeIO          ErrorCode = "io"          // the system refused it
)

// Error returns the text.
func (c *Error) Error() string { return c.Text }

func errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

func (*Attach) controlType() string   { return "attach" }
func (*Attached) controlType() string { return "attached" }
func (*State) controlType() string    { return "state" }
func (*Exit) controlType() string     { return "exit" }
func (*Stop) controlType() string     { return "stop" }
func (*EOF) controlType() string      { return "eof" }
func (*StdinAck) controlType() string { return "stdin_ack" }
func (*Error) controlType() string    { return "error" }
func (*Ping) controlType() string     { return "ping" }
func (*Pong) controlType() string     { return "pong" }

func (c *Attach) check() error {
	if c.Role != RoleObserver && c.Role != RoleStdin {
		return errorf(CodeUnsupported, "there is no role %.40q", string(c.Role))
	}
	return checkOffset(c.StdinOffset)
}

func (c *Stop) check() error {
	if c.GraceMS < 0 || c.GraceMS > MaxGrace.Milliseconds() {
		return errorf(CodeInvalid, "a grace of %d ms is not between 0 and %d", c.GraceMS, MaxGrace.Milliseconds())
	}
	return nil
}

func (c *EOF) check() error      { return checkOffset(c.Offset) }
func (c *StdinAck) check() error { return checkOffset(&c.Offset) }
func (c *Error) check() error    { return checkOffset(c.Offset) }
func (*Attached) check() error   { return nil }
func (*State) check() error      { return nil }
func (*Exit) check() error       { return nil }
func (*Ping) check() error       { return nil }
func (*Pong) check() error       { return nil }

func checkOffset(offset *int64) error {
	if offset != nil && *offset < 0 {
		return errorf(CodeInvalid, "offset %d is negative", *offset)
	}
	return nil
}
