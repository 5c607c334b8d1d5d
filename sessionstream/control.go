package sessionstream

import (
	"fmt"

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
	// RoleObserver is notified of every change of the session's state, and may signal
	// and stop it.
	RoleObserver Role = "observer"
	// RoleViewer is for readers: it gets the session's output.
	RoleViewer Role = "viewer"
	// RoleWriter is a viewer that also feeds stdin, signals the command and sets
	// the size of its terminal. A session has one writer at a time.
	RoleWriter Role = "writer"
)

// Revision is that of the controls in this package. A session's shim may be older than
// who speaks to it: what it does not know must not be sent.
//
//	1 (or absent)  all but what follows
//	2              Signal of an observer, Signal.ID, ToAll, Stop.By
//	3              Attach.RawLine, CodeLine
//	4              Live, Terminal.Setup
//	5              LogCursor.Epoch of From and Output, Attach.Stdin, Grant.Epoch, CodeStaleEpoch, Error.Parted
const Revision = 5

// Limits of what controls may say.
const (
	MaxGrace       = banger.MaxStopGrace // between SIGTERM and SIGKILL of a stop
	MaxClientBytes = 256                 // Attach.Client
	MaxIDBytes     = 64                  // Attach.AttachID, Signal.ID
	MaxTailLines   = 1 << 20             // Attach.Tail
	MaxStdinWindow = 1 << 20             // Grant.WindowBytes
)

// The controls of a client.
type (
	// Attach is the first control of a client.
	Attach struct {
		Role Role `json:"role"`
		// AttachID names the attachment of a viewer or writer through all its
		// connections: a new connection takes the place of the old one. A shim has to be
		// given one; the daemon makes one up and says so in Attached.
		AttachID string `json:"attach_id,omitempty" doc:"1 to 64 letters, digits, - and _; of a viewer or writer. Default: one that the daemon generates and returns in attached"`
		// Client says who attaches, for those who find stdin held or lose it.
		Client string `json:"client,omitempty"`
		// Resume says that this is a further connection of the attachment.
		Resume bool `json:"resume,omitempty"`
		// From is where output begins, of each stream; Tail this number of lines before the
		// end of both. Without either it begins with what is written from now on.
		From *banger.LogCursor `json:"from,omitempty"`
		Tail *int              `json:"tail,omitempty" doc:"number of lines before the end of both streams at which output begins; 0 to 1048576, not with from"`
		// Stdin is how much of stdin a writer knows to be accepted: of another branch of the
		// VM's life than the server's, it is refused if it lies past their parting.
		Stdin *StdinPosition `json:"stdin,omitempty" doc:"how much of stdin the writer knows to be accepted"`
		// NoOutput is for a writer that wants no output, only what becomes of its stdin.
		NoOutput bool `json:"no_output,omitempty"`
		// Window is the size of a writer's terminal.
		Window *Window `json:"window,omitempty"`
		// RawLine has stdin that a terminal in line mode drops, behind the 4,095 bytes of a
		// line that it holds, fed and counted all the same, instead of refused with CodeLine:
		// for a keyboard, whose user the terminal's bell warns, or a program that is about to
		// leave line mode. A server before revision 3 does so always.
		RawLine bool `json:"raw_line,omitempty" doc:"bytes of a long line that a terminal in line mode drops count as accepted, instead of being refused"`
	}
	// Takeover makes a viewer the writer, whoever is that now.
	Takeover struct {
		Window *Window `json:"window,omitempty"`
	}
	// Resize sets the size of the session's terminal; without one it does nothing.
	Resize struct {
		Window Window `json:"window"`
	}
	// Signal sends a signal, such as SIGINT. The server remembers the last ids: a
	// second one with the same id sends nothing.
	Signal struct {
		Signal string       `json:"signal" doc:"a name such as SIGINT, or a number in digits"`
		To     SignalTarget `json:"to"`
		ID     string       `json:"id,omitempty" doc:"at most 64 bytes; a second signal with the same id is not sent"`
	}
	// Stop ends the session: SIGTERM, and SIGKILL after the grace. The zero value is a stop
	// with the default grace; a grace of 0 that is given kills at once.
	Stop struct {
		GraceMS *int64 `json:"grace_ms,omitempty" doc:"milliseconds until every process is killed, 0 to 86400000; absent: 10000; 0 kills at once"`
		By      string `json:"by,omitempty"` // the requester, for the session's record
	}
	// EOF closes the session's stdin behind what was sent.
	EOF struct {
		Offset *int64 `json:"offset,omitempty" doc:"expected number of bytes of stdin since the session began; absent: not checked"`
	}
	// Detach ends the attachment in order: what it held is free at once.
	Detach struct{}
	// Ping is answered with a Pong when all earlier controls have taken effect. It
	// keeps a writer's lease, as everything does that a writer sends.
	Ping struct{}
)

// Window is the size of a terminal.
type Window = banger.Window

// SignalTarget says which processes of a session a signal goes to.
type SignalTarget string

// The targets of a signal.
const (
	ToProcess SignalTarget = "process" // the command itself
	ToGroup   SignalTarget = "group"   // its process group, as a terminal's key does
	ToAll     SignalTarget = "all"     // every process of the session
)

// The controls of a server.
type (
	// Attached is the first control of the server, if it accepts the client's.
	Attached struct {
		State banger.SessionState `json:"state"`
		// Revision says which controls the server knows; see the constant.
		Revision int `json:"revision,omitempty"`
		// VMID, SessionID and AttachID are what the refs of the request and an absent
		// Attach.AttachID have come to mean. The daemon says so, a shim does not.
		VMID      banger.VMID      `json:"vm_id,omitempty" doc:"of the session; from the daemon, not from a shim"`
		SessionID banger.SessionID `json:"session_id,omitempty" doc:"from the daemon, not from a shim"`
		AttachID  string           `json:"attach_id,omitempty" doc:"id of the attachment, for its next connection; from the daemon, not from a shim"`
		// Output is where the output begins that a viewer or writer gets.
		Output *banger.LogCursor `json:"output,omitempty"`
		// Stdin is what a writer is granted; nil if it was evicted since its last
		// connection: an Evicted follows. Of an Attach with Resume only.
		Stdin *Grant `json:"stdin,omitempty"`
		// Terminal describes that of a tty session, as it was before the window of a new writer was set.
		Terminal *Terminal `json:"terminal,omitempty"`
	}
	// Granted answers a takeover: the client is the writer now.
	Granted struct {
		Stdin Grant `json:"stdin"`
	}
	// Live tells a writer of a terminal, before any output, from where in stdout on its own
	// terminal is the session's: what the program asks there, it answers. What was asked
	// before was answered, and must not be again.
	Live struct {
		Stdout int64 `json:"stdout" doc:"position in stdout; queries in output before it have been answered"`
	}
	// State reports a change to an observer.
	State struct {
		State banger.SessionState `json:"state"`
	}
	// Gap says that a range of output is not kept any more; output continues behind it.
	Gap struct {
		Stream banger.Stream `json:"stream"`
		From   int64         `json:"from" doc:"position of the first byte that is no longer kept"`
		To     int64         `json:"to" doc:"position after the last one: output continues there"`
		Reason string        `json:"reason" doc:"log limit, disk reserve, disk full, write error or reason unknown; several are separated by a comma and a space"`
	}
	// Evicted notifies a writer that it is a viewer from now on. What it has sent and
	// was not acknowledged before is dropped.
	Evicted struct {
		By string `json:"by"` // the client of the new writer, as it says; may be empty
	}
	// Exit has the final state; nothing follows it.
	Exit struct {
		State banger.SessionState `json:"state"`
	}
	// StdinAck says how much of stdin has been accepted since the session began,
	// and whether stdin is closed.
	StdinAck struct {
		Offset int64 `json:"offset" doc:"bytes of stdin accepted since the session began"`
		EOF    bool  `json:"eof" doc:"stdin is closed"`
	}
	// Signalled confirms to an observer that its signal was sent; before an Exit that this
	// may have caused.
	Signalled struct {
		ID string `json:"id,omitempty" doc:"id of the signal"`
	}
	// Pong answers one ping or several.
	Pong struct{}
	// Error refuses what the peer sent. The server then closes the connection, except after
	// the codes unsupported, closed and ended. In Go it is also the error of a reader.
	Error struct {
		Code ErrorCode `json:"code"`
		Text string    `json:"text" doc:"for people"`
		// Offset, with the codes offset, closed and line, is how much of stdin has been accepted.
		Offset *int64 `json:"offset,omitempty"`
		// Parted, with the code stale_epoch, is the point up to which the session has what the
		// client's positions refer to.
		Parted *banger.Parting `json:"parted,omitempty"`
	}
)

// StdinPosition is a position in a session's stdin.
type StdinPosition struct {
	Epoch  banger.Epoch `json:"epoch,omitempty" doc:"the epoch in which offset counts; absent: the one in which the session began"`
	Offset int64        `json:"offset" doc:"bytes of stdin accepted since the session began"`
}

// Grant is what a writer needs to know.
type Grant struct {
	// Offset is how many bytes of stdin have been accepted since the session began,
	// and the position of the next byte that the writer sends.
	Offset int64 `json:"offset"`
	EOF    bool  `json:"eof"` // stdin is closed
	// Epoch is that in which Offset counts, which is that of all positions of the connection.
	// The daemon says so in Attached, a shim does not.
	Epoch banger.Epoch `json:"epoch,omitempty" doc:"the epoch in which offset counts; from the daemon, in attached"`
	// WindowBytes is how many bytes a writer may have sent that are not
	// acknowledged, so that controls never wait behind stdin.
	WindowBytes int64 `json:"window_bytes"`
	// LeaseMS is how long a writer may be silent before another can take its place.
	LeaseMS int64 `json:"lease_ms"`
}

// Terminal is the terminal of a session.
type Terminal struct {
	Window Window `json:"window"`
	// Modes are the private modes (DECSET and DECRST of a VT) that the command has
	// set otherwise than they are in a terminal that was reset.
	Modes map[int]bool `json:"modes,omitempty"`
	// Keypad says that the keypad sends application sequences (DECKPAM).
	Keypad bool `json:"keypad,omitempty"`
	// Setup is all that the command has set, modes and keypad included: the bytes that
	// bring a terminal that was reset to that.
	Setup []byte `json:"setup,omitempty" doc:"base64 of the bytes that bring a reset terminal into the state in which the command has left its own, except what the screen shows"`
}

// ErrorCode classifies an Error. Codes are append-only.
type ErrorCode string

// The codes.
const (
	CodeInvalid     ErrorCode = "invalid"     // it breaks the format, or comes at the wrong time
	CodeVersion     ErrorCode = "version"     // another version of the format
	CodeUnsupported ErrorCode = "unsupported" // a control of an unknown type, an unknown role; it was ignored
	CodeBusy        ErrorCode = "busy"        // too many connections
	CodeOffset      ErrorCode = "offset"      // a gap in stdin, an EOF before its end, output that does not exist yet
	CodeClosed      ErrorCode = "closed"      // stdin takes no more; output continues
	CodeLine        ErrorCode = "line"        // a terminal in line mode holds no more of the line
	CodeIO          ErrorCode = "io"          // the system refused it
	CodeHeld        ErrorCode = "held"        // another attachment is the writer
	CodeReplaced    ErrorCode = "replaced"    // a newer connection of the same attachment has taken this one's place
	CodeEvicted     ErrorCode = "evicted"     // another attachment has become the writer; never sent, it is for writers in Go
	CodeUnavailable ErrorCode = "unavailable" // what is asked for cannot be reached now
	CodePaused      ErrorCode = "paused"      // the session's VM is paused, and a new attachment would wait for its end
	CodeEnded       ErrorCode = "ended"       // the command has ended, so it gets no signal
	CodeStaleEpoch  ErrorCode = "stale_epoch" // a position is of another branch of the VM's life
)

// Err returns the error of the evicted writer, which says who has taken its place.
func (c *Evicted) Err() *Error {
	by := c.By
	if by == "" {
		by = "another client"
	}
	return errorf(CodeEvicted, "stdin was taken over by %s", by)
}

// Error returns the text.
func (c *Error) Error() string { return c.Text }

// Fatal reports whether the connection ends with it.
func (c *Error) Fatal() bool {
	return c.Code != CodeUnsupported && c.Code != CodeClosed && c.Code != CodeEnded
}

func errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
