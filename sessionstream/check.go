package sessionstream

import (
	"strings"

	"banger"
	"banger/internal/records"
)

func (*Attach) controlType() string   { return "attach" }
func (*Takeover) controlType() string { return "takeover" }
func (*Resize) controlType() string   { return "resize" }
func (*Signal) controlType() string   { return "signal" }
func (*Stop) controlType() string     { return "stop" }
func (*EOF) controlType() string      { return "eof" }
func (*Detach) controlType() string   { return "detach" }
func (*Ping) controlType() string     { return "ping" }

func (*Attached) controlType() string  { return "attached" }
func (*Granted) controlType() string   { return "granted" }
func (*Live) controlType() string      { return "live" }
func (*State) controlType() string     { return "state" }
func (*Gap) controlType() string       { return "gap" }
func (*Evicted) controlType() string   { return "evicted" }
func (*Exit) controlType() string      { return "exit" }
func (*StdinAck) controlType() string  { return "stdin_ack" }
func (*Pong) controlType() string      { return "pong" }
func (*Signalled) controlType() string { return "signalled" }
func (*Error) controlType() string     { return "error" }

func (c *Attach) check() error {
	switch c.Role {
	case RoleObserver:
		if c.AttachID != "" || c.Resume || c.From != nil || c.Tail != nil || c.NoOutput || c.Window != nil || c.RawLine || c.Stdin != nil {
			return errorf(CodeInvalid, "an observer has a role only")
		}
	case RoleViewer:
		if c.Window != nil || c.NoOutput || c.Stdin != nil {
			return errorf(CodeInvalid, "a viewer has no window and no stdin, and has output")
		}
	case RoleWriter:
	default:
		return errorf(CodeUnsupported, "there is no role %.40q", string(c.Role))
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if c.Tail != nil && (c.From != nil || *c.Tail < 0 || *c.Tail > MaxTailLines) {
		return errorf(CodeInvalid, "a tail of %d lines is not between 0 and %d, or comes with another beginning", *c.Tail, MaxTailLines)
	}
	if c.From != nil && (c.From.Stdout < 0 || c.From.Stderr < 0) {
		return errorf(CodeInvalid, "output cannot begin at %v", *c.From)
	}
	if c.Stdin != nil {
		return checkOffset(&c.Stdin.Offset)
	}
	return nil
}

// checkNames checks what others are shown.
func (c *Attach) checkNames() error {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}
	switch {
	case c.Resume && c.AttachID == "":
		return errorf(CodeInvalid, "a further connection has to name its attachment")
	case len(c.AttachID) > MaxIDBytes || strings.ContainsFunc(c.AttachID, strange):
		return errorf(CodeInvalid, "%.80q is not an attachment id", c.AttachID)
	case c.From != nil && len(c.From.Epoch) > MaxIDBytes, c.Stdin != nil && len(c.Stdin.Epoch) > MaxIDBytes:
		return errorf(CodeInvalid, "an epoch has more than %d bytes", MaxIDBytes)
	case len(c.Client) > MaxClientBytes:
		return errorf(CodeInvalid, "the client's name has more than %d bytes", MaxClientBytes)
	}
	return nil
}

func (c *Signal) check() error {
	switch {
	case c.To != ToProcess && c.To != ToGroup && c.To != ToAll:
		return errorf(CodeInvalid, "a signal cannot go to %.40q", string(c.To))
	case len(c.ID) > MaxIDBytes:
		return errorf(CodeInvalid, "the id of a signal has more than %d bytes", MaxIDBytes)
	}
	return nil
}

func (c *Stop) check() error {
	if ms := c.GraceMS; ms != nil && (*ms < 0 || *ms > MaxGrace.Milliseconds()) {
		return errorf(CodeInvalid, "a grace of %d ms is not between 0 and %d", *ms, MaxGrace.Milliseconds())
	}
	if len(c.By) > banger.MaxRequesterBytes {
		return errorf(CodeInvalid, "who asks for the stop is said in more than %d bytes", banger.MaxRequesterBytes)
	}
	return nil
}

func (c *EOF) check() error { return checkOffset(c.Offset) }

func (c *Attached) check() error {
	state := c.State
	if state.Status == "" { // who speaks for no session may leave it out
		state.Status = banger.StatusRunning
	}
	if err := checkState(state); err != nil {
		return err
	}
	if c.Output != nil && (c.Output.Stdout < 0 || c.Output.Stderr < 0) {
		return errorf(CodeInvalid, "output cannot begin at %v", *c.Output)
	}
	if c.Stdin != nil {
		return c.Stdin.check()
	}
	return nil
}

func (c *State) check() error { return checkState(c.State) }

func (c *Exit) check() error {
	if !c.State.Status.Ended() {
		return errorf(CodeInvalid, "a session that is %.40q has not ended", string(c.State.Status))
	}
	return checkState(c.State)
}

// checkState refuses a state that no shim of ours tells: it comes from a guest, and an
// exit status of 256 would be one of 0 for a caller that asks for it.
func checkState(s banger.SessionState) error {
	if err := records.CheckState(s); err != nil {
		return errorf(CodeInvalid, "the session's state is wrong: %v", err)
	}
	return nil
}

func (c *Granted) check() error { return c.Stdin.check() }

func (c *Live) check() error { return checkOffset(&c.Stdout) }

func (g *Grant) check() error {
	if g.Offset < 0 || g.WindowBytes < 1 || g.WindowBytes > MaxStdinWindow || g.LeaseMS < 1 {
		return errorf(CodeInvalid, "no writer can be granted offset %d, window_bytes %d and lease_ms %d", g.Offset, g.WindowBytes, g.LeaseMS)
	}
	return nil
}

func (c *Gap) check() error {
	if c.Stream != banger.StreamStdout && c.Stream != banger.StreamStderr || c.From < 0 || c.To <= c.From {
		return errorf(CodeInvalid, "there is no gap from %d to %d in stream %.40q", c.From, c.To, string(c.Stream))
	}
	return nil
}

func (c *StdinAck) check() error { return checkOffset(&c.Offset) }

func (c *Error) check() error {
	if p := c.Parted; p != nil && (p.Stdout < 0 || p.Stderr < 0 || p.Stdin < 0) {
		return errorf(CodeInvalid, "epochs cannot part at %+v", *p)
	}
	return checkOffset(c.Offset)
}

func (*Takeover) check() error  { return nil }
func (*Resize) check() error    { return nil }
func (*Detach) check() error    { return nil }
func (*Ping) check() error      { return nil }
func (*Evicted) check() error   { return nil }
func (*Signalled) check() error { return nil }
func (*Pong) check() error      { return nil }

func checkOffset(offset *int64) error {
	if offset != nil && *offset < 0 {
		return errorf(CodeInvalid, "offset %d is negative", *offset)
	}
	return nil
}
