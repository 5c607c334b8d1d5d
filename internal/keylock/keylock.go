// Package keylock gives each of many things a lock of its own, which exists only
// while someone holds it or waits for it.
package keylock

import (
	"context"
	"sync"
)

// Locks are the locks of things that are told apart by keys. The zero value is
// ready for use. Safe for concurrent use.
type Locks[K comparable] struct {
	mu    sync.Mutex // guards the map and the users in it
	locks map[K]*lock
}

type lock struct {
	free  chan struct{} // has one element while nobody holds the lock
	users int           // who holds it or waits for it
}

// Lock waits until the caller alone holds the lock of key, or fails with the
// cause of ctx's end. unlock must be called once.
func (l *Locks[K]) Lock(ctx context.Context, key K) (unlock func(), err error) {
	k := l.enter(key)
	select {
	case <-k.free:
		return func() { k.free <- struct{}{}; l.leave(key, k) }, nil
	case <-ctx.Done():
		l.leave(key, k)
		return nil, context.Cause(ctx)
	}
}

// TryLock is Lock for a caller that does not wait: ok is false if somebody has the lock.
func (l *Locks[K]) TryLock(key K) (unlock func(), ok bool) {
	k := l.enter(key)
	select {
	case <-k.free:
		return func() { k.free <- struct{}{}; l.leave(key, k) }, true
	default:
		l.leave(key, k)
		return nil, false
	}
}

// Hold is Lock for a caller that waits however long it takes.
func (l *Locks[K]) Hold(key K) (unlock func()) {
	k := l.enter(key)
	<-k.free
	return func() { k.free <- struct{}{}; l.leave(key, k) }
}

func (l *Locks[K]) enter(key K) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locks[key]
	if k == nil {
		k = &lock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		if l.locks == nil {
			l.locks = map[K]*lock{}
		}
		l.locks[key] = k
	}
	k.users++
	return k
}

func (l *Locks[K]) leave(key K, k *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(l.locks, key)
	}
}
