package sessionstream

import (
	"net"
	"sync"

	"banger"
)

// outgoing is what an attachment sends: stdin and other requests, over the present
// connection if there is one, and over the next what must not get lost. Safe for
// concurrent use.
type outgoing struct {
	link  *link
	stdin *stdin

	mu       sync.Mutex // guards everything below; taken before stdin.mu, and behind link.sending
	detached bool
	granted  bool      // this is the writer
	takeover *Takeover // asked for and not granted yet
	window   *Window   // of the terminal, as last set
	stated   *Window   // what the Attach of the present or next connection says of it
}

func newOutgoing(a Attach) *outgoing {
	l := &link{}
	return &outgoing{link: l, stdin: newStdin(l), window: a.Window, stated: a.Window}
}

// open takes a connection into use whose Attach has been accepted, and sends what
// the last one may not have delivered.
func (o *outgoing) open(conn net.Conn, w *Writer) {
	o.link.sending.Lock()
	defer o.link.sending.Unlock()
	o.link.follow(conn, w)
	before, end, behind := o.stdin.again()
	takeover, window := o.asked()
	err := w.WriteData(ChannelStdin, before)
	if end != nil && err == nil {
		err = w.WriteControl(end)
	}
	if err == nil {
		err = w.WriteData(ChannelStdin, behind)
	}
	if takeover != nil && err == nil {
		err = w.WriteControl(takeover)
	}
	if window != nil && err == nil {
		err = w.WriteControl(&Resize{Window: *window})
	}
	_ = o.link.sent(w, err) // else the next connection does
}

// end cuts the connection, and has stdin take no more.
func (o *outgoing) end(err error) {
	o.link.close()
	o.stdin.fail(err)
}

func (o *outgoing) detach() error {
	o.mu.Lock()
	o.detached = true
	o.mu.Unlock()
	return o.link.send(&Detach{})
}

func (o *outgoing) isDetached() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.detached
}

func (o *outgoing) resize(w Window) {
	o.mu.Lock()
	o.window = &w
	o.mu.Unlock()
	_ = o.link.send(&Resize{Window: w}) // else the next connection begins with it
}

// describe completes the Attach of a further connection.
func (o *outgoing) describe(a *Attach, epoch banger.Epoch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a.Role, a.Window, a.Stdin = RoleViewer, nil, nil
	if o.granted {
		a.Role, a.Window = RoleWriter, o.window
		o.stated = o.window
	}
	if o.granted && epoch != "" { // an older server does not know it
		a.Stdin = &StdinPosition{Epoch: epoch, Offset: o.stdin.accepted()}
	}
}

// ask wants this attachment to be the writer.
func (o *outgoing) ask(t Takeover) {
	o.mu.Lock()
	granted := o.granted
	if !granted {
		o.takeover = &t
		if t.Window != nil {
			o.window = t.Window
		}
	}
	o.mu.Unlock()
	switch {
	case !granted:
		_ = o.link.send(&t) // else the next connection does
	case t.Window != nil:
		o.resize(*t.Window)
	}
}

// asked returns what was asked for and is not granted yet, and a size that was set behind
// the Attach of the connection that begins; nil for neither.
func (o *outgoing) asked() (takeover *Takeover, window *Window) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.granted && o.window != o.stated {
		window = o.window
	}
	return o.takeover, window
}

// grant makes this attachment the writer.
func (o *outgoing) grant(g Grant) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.granted, o.takeover = true, nil
	o.stdin.grant(g)
}

// regrant takes in what a further connection says of stdin. lost reports that
// somebody else has written to it, and it takes no more.
func (o *outgoing) regrant(g Grant) (lost bool, err error) {
	lost, err = o.stdin.regrant(g)
	if lost {
		o.evict(&Evicted{})
	}
	return lost, err
}

// evict makes this attachment a viewer.
func (o *outgoing) evict(e *Evicted) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.granted = false
	o.stdin.evict(e.Err())
}
