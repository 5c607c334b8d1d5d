//go:build !unit

package shim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/wait"
)

// model is what a session is to its clients, whatever happens to their connections.
// Its command copies stdin to stdout.
type model struct {
	text   string // accepted by stdin, and thus written to stdout
	eof    bool
	writer *participant // who has stdin, or nil
}

func (m *model) attach(p *participant, role sessionstream.Role) bool {
	if role == sessionstream.RoleWriter && m.writer != nil {
		return false
	}
	if role == sessionstream.RoleWriter {
		m.writer = p
	}
	return true
}

func (m *model) takeOver(p *participant) (evicted *participant) {
	evicted, m.writer = m.writer, p
	return evicted
}

func (m *model) write(p *participant, text string) bool {
	if m.writer != p || m.eof {
		return false
	}
	m.text += text
	return true
}

func (m *model) closeStdin(p *participant) {
	m.eof = m.eof || m.writer == p
}

func (m *model) detach(p *participant) {
	if m.writer == p {
		m.writer = nil
	}
}

// tail is where the last lines begin.
func (m *model) tail(lines int) int {
	at := len(m.text)
	for ; lines > 0 && at > 0; lines-- {
		at = strings.LastIndexByte(m.text[:at-1], '\n') + 1
	}
	return at
}

// A session and its clients do what the model does, over connections that break in
// the middle of anything.
func TestAttachments_BehaveAsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{T: rt, session: sh(t, "cat; exec sleep 1000", withPipe)}
		defer w.end()
		rt.Repeat(map[string]func(*rapid.T){
			"attach":   w.attach,
			"write":    w.write,
			"takeover": w.takeOver,
			"detach":   w.detach,
			"vanish":   w.vanish,
			"break":    w.breakConnection,
			"eof":      w.closeStdin,
			"leave":    w.leaveToNext,
			"twice":    w.comeTwice,
			"cut all":  w.cutAll,
		})
		w.finish()
	})
}

// world has the session, its model, and who is attached.
type world struct {
	*rapid.T
	session *session
	model   model
	present []*participant
	came    int
}

const maxPresent = 5

func (w *world) draw(t *rapid.T) *participant {
	if len(w.present) == 0 {
		t.Skip("nobody is there")
	}
	return w.present[rapid.IntRange(0, len(w.present)-1).Draw(t, "who")]
}

func (w *world) attach(t *rapid.T) {
	roles := []sessionstream.Role{sessionstream.RoleViewer, sessionstream.RoleWriter}
	if w.model.writer != nil && w.model.writer.gone {
		roles = roles[:1] // a writer would wait for the end of the lease
	}
	if len(w.present) == maxPresent {
		t.Skip("there are enough")
	}
	a := sessionstream.Attach{Role: rapid.SampledFrom(roles).Draw(t, "role")}
	from := len(w.model.text)
	switch rapid.SampledFrom([]string{"now", "offset", "tail"}).Draw(t, "from") {
	case "offset":
		from = rapid.IntRange(0, from).Draw(t, "offset")
		a.From = &banger.LogCursor{Stdout: int64(from)}
	case "tail":
		a.Tail = new(rapid.IntRange(0, 5).Draw(t, "lines"))
		from = w.model.tail(*a.Tail)
	}
	w.join(a, from)
}

// join attaches somebody who gets output from a position on.
func (w *world) join(a sessionstream.Attach, from int) *participant {
	w.came++
	p := &participant{name: fmt.Sprintf("client-%d", w.came), from: from}
	a.Client, a.AttachID = p.name, p.name
	var err error
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		err = w.open(p, a)
	}()
	for done := false; !done; {
		if w.model.writer != nil { // its next sign of life is what a second writer waits for
			_ = w.model.writer.Ping()
		}
		select {
		case <-opened:
			done = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	if !w.model.attach(p, a.Role) {
		if codeOf(err) != sessionstream.CodeHeld || !strings.Contains(err.Error(), w.model.writer.name) {
			w.Fatalf("%s gets %v", p.name, err)
		}
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	w.present = append(w.present, p)
	p.receiving.Go(p.receive)
	attached := p.Attached()
	if attached.Output.Stdout != int64(from) || (attached.Stdin != nil) != (w.model.writer == p) {
		w.Fatalf("%s gets output from %d and stdin %+v", p.name, attached.Output.Stdout, attached.Stdin)
	}
	if g := attached.Stdin; g != nil && (g.Offset != int64(len(w.model.text)) || g.EOF != w.model.eof) {
		w.Fatalf("%s is granted %+v", p.name, *g)
	}
	return p
}

// open attaches p.
func (w *world) open(p *participant, a sessionstream.Attach) (err error) {
	c := w.session.config(a)
	c.Dial = func(ctx context.Context) (net.Conn, error) { return p.connection(w.session.dial(ctx)) }
	p.Attachment, err = sessionstream.Open(context.Background(), c)
	return err
}

func (w *world) write(t *rapid.T) {
	p := w.draw(t)
	text := strings.Repeat(rapid.StringMatching(`[a-z]{1,9}\n?`).Draw(t, "text"), rapid.SampledFrom([]int{1, 3, 10_000}).Draw(t, "times"))
	_, err := p.Write([]byte(text))
	if w.model.write(p, text) != (err == nil) {
		w.Fatalf("%s writes: %v", p.name, err)
	}
	if err != nil {
		return
	}
	wait.For(w, "the acknowledgement", func() bool { return p.knows(func() bool { return p.accepted == int64(len(w.model.text)) }) })
	wait.For(w, "the command's output", func() bool { return w.written() == int64(len(w.model.text)) })
}

// written is where output ends for a client that attaches.
func (w *world) written() int64 {
	end, err := sessiondir.NewLiveReader(os.DirFS(w.session.dir)).Tail(context.Background(), banger.StreamBoth, 0)
	if err != nil {
		w.Fatal(err)
	}
	return end.Stdout
}

func (w *world) takeOver(t *rapid.T) { w.makeWriter(w.draw(t)) }

func (w *world) makeWriter(p *participant) {
	evicted := w.model.takeOver(p)
	p.knows(func() bool { p.granted = nil; return true })
	p.Takeover(sessionstream.Takeover{})
	if evicted == p {
		return
	}
	wait.For(w, "the grant", func() bool { return p.knows(func() bool { return p.granted != nil }) })
	if g := *p.granted; g.Offset != int64(len(w.model.text)) || g.EOF != w.model.eof {
		w.Fatalf("%s is granted %+v", p.name, g)
	}
	if evicted != nil && !evicted.gone {
		wait.For(w, "the eviction", func() bool {
			return evicted.knows(func() bool { by := evicted.evictedBy; evicted.evictedBy = ""; return by == p.name })
		})
	}
}

// leaveToNext has the writer send more than the pipe takes to a command that does not
// read, and leave in some way while the command begins to read. The next one comes at
// once, or is there already. How much of it was accepted the next grant tells, to the
// byte.
func (w *world) leaveToNext(t *rapid.T) {
	p := w.model.writer
	if p == nil || p.gone || w.model.eof {
		t.Skip("there is no writer")
	}
	w.mend(p)
	w.stall(true)
	text := strings.Repeat(rapid.StringMatching(`[a-z]{9}\n`).Draw(t, "text"), 10_000)
	if _, err := p.Write([]byte(text)); err != nil {
		w.Fatalf("%s writes: %v", p.name, err)
	}
	w.hear(p)
	a := sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: p.name, Client: p.name}
	same := rapid.Bool().Draw(t, "same")
	detaches := rapid.Bool().Draw(t, "detaches")
	waits := rapid.Bool().Draw(t, "waits") // the next is there before the last one leaves
	if same {
		a.Resume = rapid.Bool().Draw(t, "resume")
	} else {
		w.came++
		a.AttachID, detaches = fmt.Sprintf("client-%d", w.came), true // else it would wait for the lease
	}
	a.Client = a.AttachID
	next := &participant{name: a.AttachID}
	opened := make(chan error, 1)
	open := func() { opened <- w.open(next, a) }
	if waits {
		go open() // before or after the last one leaves: nobody can tell
	}
	w.stall(false)
	if detaches {
		p.Detach()
	} else {
		p.Close()
	}
	if !waits {
		go open()
	}
	err := <-opened
	if codeOf(err) == sessionstream.CodeHeld { // the last one has pinged meanwhile
		err = w.open(next, a)
	}
	if err != nil {
		w.Fatalf("%s comes: %v", next.name, err)
	}
	w.present = append(w.present, next)
	next.receiving.Go(next.receive)
	before, granted := int64(len(w.model.text)), next.Attached().Stdin
	if granted == nil || granted.Offset < before || granted.Offset > before+int64(len(text)) {
		w.Fatalf("%s is granted %+v after %d bytes and %d more", next.name, granted, before, len(text))
	}
	w.model.text += text[:granted.Offset-before]
	w.model.writer = next
	next.from = int(next.Attached().Output.Stdout)
	w.leave(p)
	wait.For(w, "the command's output", func() bool { return w.written() >= int64(len(w.model.text)) })
}

// hear returns when the shim has taken in all that was sent by then.
func (w *world) hear(p *participant) {
	pongs := 0
	p.knows(func() bool { pongs = p.pongs; return true })
	_ = p.Ping()
	wait.For(w, "the pong", func() bool { return p.knows(func() bool { return p.pongs > pongs }) })
}

// stall stops the command, or lets it continue.
func (w *world) stall(stop bool) {
	signal := syscall.SIGCONT
	if stop {
		signal = syscall.SIGSTOP
	}
	for _, pid := range childrenOf(w.session.t, w.session.state.GuestPID) {
		_ = syscall.Kill(pid, signal)
	}
}

// comeTwice opens a second connection of somebody's attachment: the first one is told and
// ended, and the second has its place.
func (w *world) comeTwice(t *rapid.T) {
	p := w.draw(t)
	w.mend(p)
	role := sessionstream.RoleViewer
	if w.model.writer == p {
		role = sessionstream.RoleWriter
	}
	next := &participant{name: p.name, from: len(w.model.text)}
	a := sessionstream.Attach{Role: role, AttachID: p.name, Client: p.name, Resume: rapid.Bool().Draw(t, "resume")}
	if err := w.open(next, a); err != nil {
		w.Fatalf("%s comes twice: %v", p.name, err)
	}
	next.receiving.Go(next.receive)
	late := time.AfterFunc(patience, func() { p.Close() })
	w.leave(p)
	late.Stop()
	if codeOf(p.over) != sessionstream.CodeReplaced {
		w.Fatalf("the first connection of %s ends with %v", p.name, p.over)
	}
	w.present = append(w.present, next)
	if g := next.Attached().Stdin; (g != nil) != (w.model.writer == p) || g != nil && g.Offset != int64(len(w.model.text)) {
		w.Fatalf("the second connection of %s is granted %+v", p.name, g)
	}
	if w.model.writer == p {
		w.model.writer = next
	}
}

// cutAll breaks all connections at once, as the death of a daemon does.
func (w *world) cutAll(*rapid.T) {
	for _, p := range w.present {
		p.breakAfter(0)
	}
	for _, p := range w.present {
		w.mend(p)
	}
}

func (w *world) closeStdin(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "seldom") == 0 {
		w.sendEOF(w.draw(t))
	}
}

func (w *world) sendEOF(p *participant) {
	first := !w.model.eof
	w.model.closeStdin(p)
	if err := p.CloseStdin(); first && (err == nil) != (w.model.writer == p) {
		w.Fatalf("%s closes stdin: %v", p.name, err)
	}
	if first && w.model.eof {
		wait.For(w, "the acknowledgement of the end", func() bool { return p.knows(func() bool { return p.acceptedEOF }) })
	}
}

func (w *world) detach(t *rapid.T) {
	p := w.draw(t)
	w.mend(p) // without a connection nobody would hear of it
	w.model.detach(p)
	p.Detach()
	w.leave(p)
	if !errors.Is(p.over, io.EOF) {
		w.Fatalf("%s detaches: %v", p.name, p.over)
	}
}

// vanish has somebody end without a word: a writer's place stays taken.
func (w *world) vanish(t *rapid.T) {
	p := w.draw(t)
	p.gone = true
	p.Close()
	w.leave(p)
}

// leave waits for the end of somebody, who may have missed what came last.
func (w *world) leave(p *participant) {
	p.receiving.Wait()
	if got := string(p.output); !strings.HasPrefix(w.model.text[p.from:], got) {
		w.Fatalf("%s from %d has seen %d bytes that are not the output", p.name, p.from, len(got))
	}
	for n, other := range w.present {
		if other == p {
			w.present = append(w.present[:n:n], w.present[n+1:]...)
			return
		}
	}
}

// breakConnection has a connection break after some more bytes.
func (w *world) breakConnection(t *rapid.T) {
	w.draw(t).breakAfter(rapid.OneOf(rapid.IntRange(0, 60), rapid.IntRange(0, 100_000)).Draw(t, "bytes"))
}

// mend gives somebody a connection that holds.
func (w *world) mend(p *participant) {
	pongs := 0
	p.knows(func() bool {
		if p.conn.isFrail() {
			p.conn.breakAfter(0)
		}
		pongs = p.pongs
		return true
	})
	wait.For(w, "a connection", func() bool {
		_ = p.Ping()
		return p.knows(func() bool { return p.pongs > pongs && !p.conn.isFrail() })
	})
}

// finish ends the session: each has seen all of its output then.
func (w *world) finish() {
	p := w.model.writer
	if p == nil || p.gone {
		p = w.join(sessionstream.Attach{Role: sessionstream.RoleViewer}, len(w.model.text))
		w.makeWriter(p)
	}
	w.sendEOF(p)
	for _, p := range w.present { // the shim goes away with the session, and waits for nobody for long
		w.mend(p)
		wait.For(w, "the output", func() bool { return p.knows(func() bool { return len(p.output) == len(w.model.text)-p.from }) })
	}
	if err := shimclient.Stop(context.Background(), w.session.dir, banger.StopRequest{Kill: true}); err != nil {
		w.Fatal(err)
	}
	for _, p := range w.present {
		late := time.AfterFunc(patience, func() { p.Close() })
		p.receiving.Wait()
		late.Stop()
		if string(p.output) != w.model.text[p.from:] || p.exit == nil || p.exit.State.StdinOffset != int64(len(w.model.text)) {
			w.Fatalf("%s from %d has seen %d bytes of %d, then %+v, %v", p.name, p.from, len(p.output), len(w.model.text), p.exit, p.over)
		}
	}
}

// end leaves nothing behind, however the check ends.
func (w *world) end() {
	for _, p := range w.present {
		p.Close()
		p.receiving.Wait()
	}
	w.session.clean()
	w.session.ended <- nil
}

// participant is a client.
type participant struct {
	*sessionstream.Attachment
	name      string
	from      int
	gone      bool
	receiving sync.WaitGroup

	mu          sync.Mutex // guards everything below while it receives
	conn        *frailConn
	output      []byte
	accepted    int64
	acceptedEOF bool
	granted     *sessionstream.Grant
	evictedBy   string
	pongs       int
	exit        *sessionstream.Exit
	over        error
}

// knows asks what the participant has been told.
func (p *participant) knows(is func() bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return is()
}

func (p *participant) receive() {
	for {
		m, err := p.Receive()
		p.mu.Lock()
		p.output = append(p.output, m.Data...)
		switch c := m.Control.(type) {
		case *sessionstream.StdinAck:
			p.accepted, p.acceptedEOF = c.Offset, c.EOF
		case *sessionstream.Granted:
			p.granted = &c.Stdin
		case *sessionstream.Evicted:
			p.evictedBy = c.By
		case *sessionstream.Pong:
			p.pongs++
		case *sessionstream.Exit:
			p.exit = c
		}
		p.over = err
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// connection takes a new connection into use.
func (p *participant) connection(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = &frailConn{Conn: c}
	return p.conn, nil
}

func (p *participant) breakAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn.breakAfter(bytes)
}

// frailConn breaks after a number of bytes, in the middle of what is read or written.
type frailConn struct {
	net.Conn

	mu     sync.Mutex // guards the fields below
	frail  bool
	budget int
}

func (c *frailConn) breakAfter(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frail, c.budget = true, bytes
	if bytes == 0 {
		c.Close()
	}
}

func (c *frailConn) isFrail() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frail
}

// spend returns how many of n bytes may pass.
func (c *frailConn) spend(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frail {
		return n
	}
	n = min(n, c.budget)
	if c.budget -= n; c.budget == 0 {
		c.Close()
	}
	return n
}

func (c *frailConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if allowed := c.spend(n); allowed < n {
		return allowed, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *frailConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	allowed, frail := c.budget, c.frail
	c.mu.Unlock()
	if !frail || allowed > len(p) {
		c.spend(len(p))
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:allowed])
	c.spend(allowed)
	if err == nil {
		err = io.ErrClosedPipe
	}
	return n, err
}
