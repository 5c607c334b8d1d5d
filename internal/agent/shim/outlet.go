package shim

import (
	"errors"
	"slices"
	"time"

	"banger"
	"banger/internal/sessiondir"
	"banger/sessionstream"
)

const (
	// batchBytes is what a connection sends at once, and the memory that one needs
	// that does not read: its output waits in the logs.
	batchBytes = 32 << 10
	// maxQueued bounds the messages that wait for a client. An honest one never has
	// as many.
	maxQueued = 16
	// ackDelay is how long an acknowledgement may wait for output to go with: an echo
	// mostly follows, and by itself it costs everybody on its way as much as that.
	ackDelay = 2 * time.Millisecond
	// maxUnacked is how much of stdin may wait for it.
	maxUnacked = stdinWindow / 4
)

// outlet sends a viewer or writer what it gets: messages as they come up, output
// out of the logs, and after the last byte the exit. Whoever does not read is
// waited for, by this goroutine alone.
type outlet struct {
	conn     *conn
	notifier *notifier
	output   *sessiondir.Follower // nil if the client wants none

	// Guarded by notifier.
	messages []sessionstream.Control
	ack      *sessionstream.StdinAck // the newest, if it is to be sent,
	ackDue   bool                    // and not to wait any more
	ackTimer *time.Timer             // makes it due; nil before the first
	acked    int64                   // the offset of the last
	pong     bool                    // one is to be sent; it answers all pings before it
	final    *banger.SessionState    // nothing is written any more
	finished bool                    // nothing is sent behind the messages
}

// queue sends a message before any more output.
func (o *outlet) queue(c sessionstream.Control) {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	if len(o.messages) == maxQueued {
		o.conn.net.Close() // it makes us talk and does not listen
		return
	}
	if ack := o.takeAck(); ack != nil { // it keeps its place: behind Evicted it would say too much
		o.messages = append(o.messages, ack)
	}
	o.messages = append(o.messages, c)
	o.notifier.cond.Broadcast()
}

// acknowledge sends how far stdin has come, soon; it replaces what has not been sent.
func (o *outlet) acknowledge(offset int64, eof bool) {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	waits := o.ack != nil
	o.ack = &sessionstream.StdinAck{Offset: offset, EOF: eof}
	switch {
	case eof || o.output == nil || offset-o.acked >= maxUnacked:
		o.ackDue = true
		o.notifier.cond.Broadcast()
	case waits: // the timer runs
	case o.ackTimer == nil:
		o.ackTimer = time.AfterFunc(ackDelay, o.ackNow)
	default:
		o.ackTimer.Reset(ackDelay)
	}
}

func (o *outlet) ackNow() {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	o.ackDue = true
	o.notifier.cond.Broadcast()
}

// takeAck returns what is to be acknowledged, nil if nothing is. The caller holds notifier.
func (o *outlet) takeAck() (ack *sessionstream.StdinAck) {
	if ack, o.ack, o.ackDue = o.ack, nil, false; ack != nil {
		o.acked = ack.Offset
		if o.ackTimer != nil {
			o.ackTimer.Stop()
		}
	}
	return ack
}

func (o *outlet) answerPing() {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	o.pong = true
	o.notifier.cond.Broadcast()
}

// begin gives a client as long as it wants to read, unless it is being ended.
func (o *outlet) begin() {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	if !o.finished {
		o.conn.net.SetWriteDeadline(time.Time{})
	}
}

// finish has the connection closed behind what is queued, soon in any case.
func (o *outlet) finish() {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	o.finished = true
	o.conn.net.SetWriteDeadline(time.Now().Add(sendTimeout))
	o.notifier.cond.Broadcast()
}

// exit has the connection end with the final state, behind the last byte of output.
func (o *outlet) exit(state banger.SessionState) {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	o.final = &state
	o.notifier.cond.Broadcast()
}

// run sends until there is nothing more to send, and closes the connection; or
// until nobody takes it, who may still have sent something.
func (o *outlet) run() {
	if o.send() {
		o.conn.net.Close()
	}
}

func (o *outlet) send() (all bool) {
	var batch []byte
	for {
		w := o.await()
		var err error
		for _, m := range w.messages {
			if batch, err = sessionstream.AppendControl(batch, m); err != nil {
				return false
			}
		}
		if w.more && w.output {
			batch = o.appendOutput(slices.Grow(batch, batchBytes))
		}
		if w.ack != nil { // behind the output, which somebody waits for
			if batch, err = sessionstream.AppendControl(batch, w.ack); err != nil {
				return false
			}
		}
		if len(batch) > 0 && o.conn.writer.WriteFrames(batch) != nil {
			return false
		}
		switch {
		case !w.more:
			return true
		case w.output:
			batch = batch[:0]
		case w.final != nil:
			return o.conn.writer.WriteControl(&sessionstream.Exit{State: *w.final}) == nil
		default:
			batch = nil // an idle connection needs no memory
		}
	}
}

// work is what an outlet has to send.
type work struct {
	messages []sessionstream.Control
	output   bool // there is some
	ack      *sessionstream.StdinAck
	final    *banger.SessionState // the final state, to be sent when there is no output
	more     bool                 // false if the connection is to be closed behind the messages
}

// await returns when there is something to do.
func (o *outlet) await() (w work) {
	o.notifier.Lock()
	defer o.notifier.Unlock()
	pending := func() bool { return o.output != nil && o.output.Pending() }
	for len(o.messages) == 0 && !o.ackDue && !o.pong && !o.finished && o.final == nil && !pending() {
		o.notifier.cond.Wait()
	}
	w = work{messages: o.messages, output: pending(), ack: o.takeAck(), final: o.final, more: !o.finished}
	if o.pong {
		w.messages = append(w.messages, &sessionstream.Pong{})
	}
	o.messages, o.pong = nil, false
	return w
}

// appendOutput appends frames of output, or of the gap that comes next, up to the
// capacity of the batch.
func (o *outlet) appendOutput(batch []byte) []byte {
	if g, ok := o.output.Gap(); ok {
		gap := &sessionstream.Gap{Stream: g.Stream, From: g.Offset, To: g.Offset + g.Gap, Reason: g.Reason}
		with, err := sessionstream.AppendControl(batch, gap)
		if err != nil {
			o.fail(err)
		}
		return with
	}
	for {
		stream, n := o.output.Run()
		room := cap(batch) - len(batch) - sessionstream.HeaderBytes
		if n = min(n, room); n <= 0 {
			return batch
		}
		channel := sessionstream.ChannelStdout
		if stream == banger.StreamStderr {
			channel = sessionstream.ChannelStderr
		}
		whole := batch
		batch = sessionstream.AppendHeader(batch, channel, n)
		batch = batch[:len(batch)+n]
		err := o.output.Read(batch[len(batch)-n:])
		if errors.Is(err, sessiondir.ErrGap) {
			return whole
		}
		if err != nil {
			o.fail(err)
			return whole
		}
	}
}

// fail has the connection closed behind the reason.
func (o *outlet) fail(err error) {
	o.queue(refusal(sessionstream.CodeIO, "%v", err))
	o.finish()
}
