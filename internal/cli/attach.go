package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"banger"
	"banger/sessionstream"
)

// attachOptions are what a user can choose.
type attachOptions struct {
	view       bool // be a viewer
	takeover   bool
	noStdin    bool
	eof        bool // our end of stdin is the session's
	rawReplay  bool
	raw        bool              // print output on a terminal as it is, whatever the session
	from       *banger.LogCursor // nil: now, and a terminal is painted
	detachKeys []byte
	// forward has SIGTERM and SIGHUP go to the session, as SIGINT does.
	forward bool
	// vm is the session's VM as the user calls it.
	vm string
	// first, if not nil, makes the first connection, which starts the session.
	first func(ctx context.Context, opening []byte) (net.Conn, error)
}

// attaching is one run of attach. Its goroutines end with it, but for the one that
// reads our stdin, which nothing can wake.
type attaching struct {
	*CLI
	attachOptions
	session  banger.Session
	terminal *terminal // lent to the session; nil if it has none or we have none
	input    *input
}

// attach connects a session with our standard streams until it ends or we leave.
// The state is that of the end, or nil if we left.
func (c *CLI) attach(ctx context.Context, x banger.Session, o attachOptions) (*banger.SessionState, error) {
	a := &attaching{CLI: c, attachOptions: o, session: x}
	if x.TTY {
		a.terminal = userTerminal(c.Stdin, c.Stdout)
	}
	if a.terminal != nil && o.noStdin {
		a.terminal.keys = false // nobody would read them
	}
	a.input = &input{attachOptions: o, from: c.Stdin}
	if a.terminal.hasKeys() {
		a.input.terminal = a.terminal
	}
	for {
		state, stopping, err := a.round(ctx)
		if state != nil || err != nil || !stopping {
			return state, a.explain(err)
		}
		stopUntilContinued()
		// The next round paints the terminal, and takes nobody's place.
		a.takeover, a.from, a.rawReplay = false, nil, false
	}
}

// comeBack is the command line that attaches to the session again. What a terminal showed
// it paints; other output continues at a position.
func (a *attaching) comeBack(at banger.LogCursor) string {
	words := []string{"banger", "session", "attach", a.vm, a.session.Name}
	if !a.session.TTY {
		words = append(words, "--from", fmt.Sprintf("%d,%d", at.Stdout, at.Stderr))
	}
	return banger.Launch{Command: banger.ByteString(words[0]), Args: banger.ByteStrings(words[1:])}.CommandLine(0)
}

// round attaches once. stopping reports that this process is to stop, and to attach again
// when it is continued.
func (a *attaching) round(ctx context.Context) (state *banger.SessionState, stopping bool, err error) {
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	r, err := a.open(ctx, life, end)
	if err != nil {
		return nil, false, err
	}
	state, err = r.run(ctx)
	return state, r.isStopping(), err
}

// open attaches. life is that of the attachment, which outlasts ctx by a detach.
func (a *attaching) open(ctx, life context.Context, end context.CancelCauseFunc) (*round, error) {
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	defer stop()
	window := a.terminal.window()
	request := a.request(window)
	lost := &lostNotice{to: a.Stderr, session: a.session.Name}
	attachment, err := sessionstream.Open(life, sessionstream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return a.Backend.Services().Dialer.DialSession(ctx, string(a.session.VMID), string(a.session.ID))
		},
		DialFirst: a.first,
		Attach:    request, KeepLease: true, OnLost: lost.begin,
	})
	if err != nil {
		if a.first != nil && ctx.Err() != nil { // the request is on its way
			fmt.Fprintf(a.Stderr, "banger: session %s keeps running if it starts\nbanger: come back with: %s\n",
				safe(a.session.Name), safe(a.comeBack(banger.LogCursor{})))
		}
		return nil, err
	}
	r := &round{
		attaching: a, attachment: attachment, end: end, lost: lost,
		writing: request.Role == sessionstream.RoleWriter,
	}
	a.input.follow(r)
	attached := attachment.Attached()
	if a.first != nil {
		a.first, a.session.VMID, a.session.ID = nil, attached.VMID, attached.SessionID
	}
	told := !a.view && window != nil && attached.Terminal != nil && attached.Revision >= 4
	r.output = newPrinter(a, *attached.Output, newReplay(attached, told))
	r.picture = &picture{round: r}
	if a.takeover && !a.view {
		attachment.Takeover(sessionstream.Takeover{Window: window})
	}
	return r, nil
}

// request is how we ask for the session. window is nil if no terminal is lent.
func (a *attaching) request(window *sessionstream.Window) sessionstream.Attach {
	request := sessionstream.Attach{
		Role: sessionstream.RoleWriter, AttachID: string(banger.NewSessionID()), Client: clientName(), From: a.from,
	}
	if a.view || a.takeover {
		request.Role = sessionstream.RoleViewer
		return request
	}
	request.Window = window
	request.RawLine = a.terminal.hasKeys() // its user hears the bell, as on any terminal
	return request
}

// explain adds what the user can do about a refusal.
func (a *attaching) explain(err error) error {
	x := a.session
	refused, ok := errors.AsType[*sessionstream.Error](err)
	if !ok {
		return err
	}
	switch refused.Code {
	case sessionstream.CodeHeld:
		return banger.Errorf(banger.CodeInUse, "cannot attach to session %q: %w", x.Name, err).
			WithHint("watch with --view, or take over its stdin with --takeover")
	case sessionstream.CodeEvicted:
		return banger.Errorf(banger.CodeInUse, "attachment to session %q ended: %w", x.Name, err).
			WithHint("the session keeps running; take it back with --takeover")
	case sessionstream.CodeLine:
		return banger.Errorf(banger.CodeInvalid, "attachment to session %q ended: %w", x.Name, err).
			WithHint("send shorter lines; for a program that is about to leave line mode, use: banger session send --raw-line")
	case sessionstream.CodeOffset:
		return banger.Errorf(banger.CodeInvalid, "cannot attach to session %q: %w", x.Name, err)
	case sessionstream.CodePaused:
		return banger.Errorf(banger.CodeState, "%w", err)
	case sessionstream.CodeStaleEpoch:
		stale := banger.Errorf(banger.CodeStaleEpoch, "attachment to session %q ended: its VM was forked or set back to an older snapshot: %w", x.Name, err).
			WithHint("attach again, without the output that you have already seen")
		stale.Parted = refused.Parted
		return stale
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot attach to session %q: %w", x.Name, err).
		WithHint("the session itself is unaffected; when that is over, attach again with: banger session attach %s %s", a.vm, x.Name)
}
