package guest

import (
	"errors"
	"fmt"
	"sync"

	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
)

// outbox is a channel.Channel of creachadair/jrpc2 whose Send does not wait for
// the guest. The RPC client sends under its lock: a guest that does not read
// would block every call, and no context could end them.
type outbox struct {
	*guestrpc.Channel
	// pace is called before each Recv.
	pace   func()
	turns  turns
	parsed func()        // ends the turn of the message that Recv has returned last
	done   chan struct{} // closed when nothing is sent any more

	mu     sync.Mutex // guards the fields below
	queue  [][]byte
	bytes  int   // in queue, or just being written
	failed error // why nothing can be sent any more
	wake   chan struct{}
}

func newOutbox(c *guestrpc.Channel, t turns, pace func()) *outbox {
	o := &outbox{Channel: c, pace: pace, turns: t, parsed: func() {}, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	go o.run()
	return o
}

// Send queues one message, which must not be changed afterwards.
func (o *outbox) Send(msg []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil && o.bytes+len(msg) > guestbudget.OutboxBytes {
		o.failed = fmt.Errorf("cannot send message: the guest has left %d bytes unread", o.bytes)
		o.signal()
	}
	if o.failed != nil {
		return o.failed
	}
	o.queue = append(o.queue, msg)
	o.bytes += len(msg)
	o.signal()
	return nil
}

// Recv reads one message. The RPC client parses it, and then calls Recv again.
func (o *outbox) Recv() ([]byte, error) {
	o.parsed()
	o.parsed = func() {}
	o.pace()
	msg, err := o.Channel.Recv()
	if err == nil {
		o.parsed = o.turns.take(len(msg))
	}
	return msg, err
}

// Close gives up what is queued and makes run end.
func (o *outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed == nil {
		o.failed = errors.New("cannot send message: the link is closed")
	}
	o.signal()
	return nil
}

// signal wakes run. The caller holds mu.
func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run sends what is queued until that fails or the outbox is closed. Then it
// closes the writing side: the guest's control process ends, and with it the link.
func (o *outbox) run() {
	defer close(o.done)
	defer o.Channel.Close()
	for {
		<-o.wake
		for {
			msg, err := o.next()
			if err != nil {
				return
			}
			if msg == nil {
				break
			}
			err = o.Channel.Send(msg)
			o.sent(len(msg), err)
		}
	}
}

// next returns the oldest message, nil if there is none.
func (o *outbox) next() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failed != nil || len(o.queue) == 0 {
		return nil, o.failed
	}
	msg := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	return msg, nil
}

func (o *outbox) sent(n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.bytes -= n
	if o.failed == nil {
		o.failed = err
	}
}
