package shim

import (
	"fmt"
	"sync"
	"time"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
	"banger/sessionstream"
)

// observerQueue is how many messages may wait for a connection. A session's life
// has fewer changes; a client that lets more pile up has stopped reading.
const observerQueue = 16

// record is the session's state: in memory, on the disk, and with those who
// observe it. Safe for concurrent use.
type record struct {
	dir string
	// counts fills in what is counted elsewhere: offsets, sizes, losses.
	counts func(*banger.SessionState)
	// settled is done by whoever makes the session's directory durable.
	settled sync.Once

	mu        sync.Mutex // guards everything below, and the order of what observers get
	state     sessiondir.State
	failure   string // why the state could not be written
	observers map[*observer]bool
}

// settleAfter is when a session's directory is made durable: not while its start is waited
// for, and soon, so that the end of a short session need not do it.
const settleAfter = 100 * time.Millisecond

// observer is one connection's queue; it is closed by the record.
type observer struct{ queue chan sessionstream.Control }

// begin is change for the first one, which a crash of the machine may take until
// settleAfter has passed. Whoever asked for the session knows of it.
func (r *record) begin(apply func(*sessiondir.State)) {
	r.commit(apply, sessiondir.PutState)
	time.AfterFunc(settleAfter, r.settle) // the next change does it, if it comes first
}

// settle makes the session's directory durable, unless that has been done.
func (r *record) settle() {
	r.settled.Do(func() {
		if err := sessiondir.Settle(r.dir); err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.failure = err.Error()
		}
	})
}

// change applies a change, writes the state and notifies the observers, in this order.
func (r *record) change(apply func(*sessiondir.State)) sessiondir.State {
	write := sessiondir.WriteState
	r.settled.Do(func() { write = sessiondir.SettleState })
	return r.commit(apply, write)
}

func (r *record) commit(apply func(*sessiondir.State), write func(string, sessiondir.State) error) sessiondir.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	apply(&r.state)
	r.state.Sequence++
	r.failure = ""
	s := r.current()
	if err := write(r.dir, s); err != nil {
		r.failure = fmt.Sprintf("cannot keep state %s: %v", s.Status, err)
		s = r.current()
	}
	for o := range r.observers {
		if s.Status.Ended() {
			r.push(o, &sessionstream.Exit{State: s.SessionState})
			r.drop(o)
		} else {
			r.push(o, &sessionstream.State{State: s.SessionState})
		}
	}
	return s
}

// observe returns the state now and a queue of every later change. After the
// final state the queue is closed.
func (r *record) observe() (banger.SessionState, *observer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.current().SessionState
	o := &observer{queue: make(chan sessionstream.Control, observerQueue)}
	r.observers[o] = true
	if s.Status.Ended() {
		r.push(o, &sessionstream.Exit{State: s})
		r.drop(o)
	}
	return s, o
}

// snapshot returns the state now.
func (r *record) snapshot() sessiondir.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current()
}

// send queues a message for one observer, in order with the changes.
func (r *record) send(o *observer, c sessionstream.Control) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.push(o, c)
}

// forget ends an observation; what is queued can still be read.
func (r *record) forget(o *observer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(o)
}

func (r *record) current() sessiondir.State {
	s := r.state
	r.counts(&s.SessionState)
	records.NoteError(&s.SessionState, r.failure)
	return s
}

func (r *record) push(o *observer, c sessionstream.Control) {
	if !r.observers[o] {
		return
	}
	select {
	case o.queue <- c:
	default:
		r.drop(o) // it has stopped reading
	}
}

func (r *record) drop(o *observer) {
	if r.observers[o] {
		delete(r.observers, o)
		close(o.queue)
	}
}
