package control

import (
	"context"
	"sync"
	"time"
)

// turns say when the next shim may be woken. A thousand that are woken together keep
// everything else waiting, so it is one after the other, not before the host has its
// list, and half of the time none. Safe for concurrent use.
type turns struct {
	listed chan struct{} // closed, by begin, when the first list has been answered to its end
	begin  func()
	turn   chan struct{} // has an element while a shim may be woken
}

func newTurns() *turns {
	listed := make(chan struct{})
	t := &turns{listed: listed, begin: sync.OnceFunc(func() { close(listed) }), turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// knownTimeout is how long the other shims wait for one that does not answer.
const knownTimeout = 100 * time.Millisecond

// await returns at the caller's turn, or without one when urgent or ended is closed. The
// caller calls known when the shim has reported its state, or cannot, and perhaps again.
// It fails with the cause of ctx's end.
func (t *turns) await(ctx context.Context, urgent, ended <-chan struct{}) (known func(), err error) {
	var turn chan struct{} // nil before the first list
	for first := t.listed; ; {
		select {
		case <-first:
			first, turn = nil, t.turn
		case <-turn:
			began := time.Now()
			known := sync.OnceFunc(func() {
				time.AfterFunc(time.Since(began), func() { t.turn <- struct{}{} })
			})
			time.AfterFunc(knownTimeout, known)
			return known, nil
		case <-urgent:
			return func() {}, nil
		case <-ended:
			return func() {}, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
