package shim

import (
	"errors"
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
)

// outlet sends a viewer or writer what it gets: messages as they come up, output
// out of the logs, and after the last byte the exit. Whoever does not read is
// waited for, by this goroutine alone.
type outlet struct {
	conn   *conn
	news   *news
	output *sessiondir.Follower // nil if the client wants none

	// Guarded by news.
	messages []sessionstream.Control
	ack      *sessionstream.StdinAck // the newest, if it is to be sent
	pong     bool                    // one is to be sent; it answers all pings before it
	final    *banger.SessionState    // nothing is written any more
	finished bool                    // nothing is sent behind the messages
}

// queue sends a message before any more output.
func (o *outlet) queue(c sessionstream.Control) {
	o.news.Lock()
	defer o.news.Unlock()
	if len(o.messages) == maxQueued {
		o.conn.net.Close() // it makes us talk and does not listen
		return
	}
	if o.ack != nil { // it keeps its place: behind Evicted it would say too much
		o.messages = append(o.messages, o.ack)
		o.ack = nil
	}
	o.messages = append(o.messages, c)
	o.news.cond.Broadcast()
}

// acknowledge sends how far stdin has come; it replaces what has not been sent.
func (o *outlet) acknowledge(offset int64, eof bool) {
	o.news.Lock()
	defer o.news.Unlock()
	o.ack = &sessionstream.StdinAck{Offset: offset, EOF: eof}
	o.news.cond.Broadcast()
}

func (o *outlet) answerPing() {
	o.news.Lock()
	defer o.news.Unlock()
	o.pong = true
	o.news.cond.Broadcast()
}

// finish has the connection closed behind what is queued, soon in any case.
func (o *outlet) finish() {
	o.news.Lock()
	defer o.news.Unlock()
	o.finished = true
	o.conn.net.SetWriteDeadline(time.Now().Add(sendTimeout))
	o.news.cond.Broadcast()
}

// exit has the connection end with the final state, behind the last byte of output.
func (o *outlet) exit(state banger.SessionState) {
	o.news.Lock()
	defer o.news.Unlock()
	o.final = &state
	o.news.cond.Broadcast()
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
		messages, final, more := o.await()
		for _, m := range messages {
			if o.conn.writer.WriteControl(m) != nil {
				return false
			}
		}
		switch {
		case !more:
			return true
		case o.output != nil && o.output.Pending():
			if g, ok := o.output.Gap(); ok {
				gap := &sessionstream.Gap{Stream: g.Stream, From: g.Offset, To: g.Offset + g.Gap, Reason: g.Reason}
				if o.conn.writer.WriteControl(gap) != nil {
					return false
				}
				continue
			}
			if batch == nil {
				batch = make([]byte, 0, batchBytes)
			}
			if !o.sendOutput(batch) {
				return false
			}
		case final != nil:
			return o.conn.writer.WriteControl(&sessionstream.Exit{State: *final}) == nil
		default:
			batch = nil // an idle connection needs no memory
		}
	}
}

// await returns when there is something to do: messages to send, output, or the
// final state. more is false when the connection is to be closed behind the messages.
func (o *outlet) await() (messages []sessionstream.Control, final *banger.SessionState, more bool) {
	o.news.Lock()
	defer o.news.Unlock()
	for len(o.messages) == 0 && o.ack == nil && !o.pong && !o.finished && o.final == nil &&
		(o.output == nil || !o.output.Pending()) {
		o.news.cond.Wait()
	}
	messages = o.messages
	if o.ack != nil {
		messages = append(messages, o.ack)
	}
	if o.pong {
		messages = append(messages, &sessionstream.Pong{})
	}
	o.messages, o.ack, o.pong = nil, nil, false
	return messages, o.final, !o.finished
}

// sendOutput sends one batch of frames.
func (o *outlet) sendOutput(batch []byte) bool {
	for {
		stream, n := o.output.Run()
		room := cap(batch) - len(batch) - sessionstream.HeaderBytes
		if n = min(n, room); n <= 0 {
			break
		}
		channel := sessionstream.ChannelStdout
		if stream == banger.StreamStderr {
			channel = sessionstream.ChannelStderr
		}
		whole := len(batch)
		batch = sessionstream.AppendHeader(batch, channel, n)
		batch = batch[:len(batch)+n]
		err := o.output.Read(batch[len(batch)-n:])
		if errors.Is(err, sessiondir.ErrGap) {
			batch = batch[:whole]
			break
		}
		if err != nil {
			o.queue(refusal(sessionstream.CodeIO, "%v", err))
			o.finish()
			return true
		}
	}
	return len(batch) == 0 || o.conn.writer.WriteFrames(batch) == nil
}
