package keylock_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"banger/internal/keylock"
)

func TestLocks_OneHolderOfEachKey(t *testing.T) {
	var locks keylock.Locks[string]
	counts := map[string]*int{"a": new(int), "b": new(int)}
	var group sync.WaitGroup
	for key, count := range counts {
		for range 50 {
			group.Go(func() {
				unlock, err := locks.Lock(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				*count++ // the race detector is the judge
			})
		}
	}
	group.Wait()
	for key, count := range counts {
		if *count != 50 {
			t.Errorf("%s: %d had the lock, want 50", key, *count)
		}
	}
}

func TestLocks_WaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks keylock.Locks[int]
		unlock, err := locks.Lock(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		gone := errors.New("client has gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := locks.Lock(ctx, 1)
			failed <- err
		}()
		synctest.Wait()
		cancel(gone)
		if err := <-failed; !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
		unlock()
		again, err := locks.Lock(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}

// A host may have had millions of sessions: what nobody holds or waits for takes nothing.
func TestLocks_NothingIsKeptOfALockThatNobodyHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var locks keylock.Locks[int]
		hold, waited := locks.Hold(1), make(chan struct{})
		go func() { defer close(waited); locks.Hold(1)() }()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if unlock, err := locks.Lock(ctx, 1); err == nil {
			unlock()
			t.Error("a held lock was given out again")
		}
		synctest.Wait()
		if n := locks.Len(); n != 1 {
			t.Errorf("%d locks are kept while one is held", n)
		}
		hold()
		<-waited
		if n := locks.Len(); n != 0 {
			t.Errorf("%d locks are kept though nobody holds one", n)
		}
	})
}
