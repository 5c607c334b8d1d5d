package store

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"banger"
)

// Changes that wait for each other are committed together, and each is as if it were alone:
// one that fails leaves nothing and takes nobody with it.
func TestWrite_WhatWaitsIsCommittedTogether(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	ids := makeSessions(t, s, vm.ID, 20)
	if _, err := s.ListSessions(t.Context(), vm.ID); err != nil { // so that the lists are kept
		t.Fatal(err)
	}
	before, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("not this one")
	results := together(t, s, len(ids), func(i int) error {
		// Each changes its own session and the first one.
		return s.UpdateSessions(t.Context(), []banger.SessionID{ids[i], ids[0]}, func(x *banger.Session) error {
			x.StdinOffset++
			if i == 7 && x.ID == ids[0] {
				return refused
			}
			return nil
		})
	})
	for i, err := range results {
		if (i == 7) != errors.Is(err, refused) || i != 7 && err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	checkKept(t, s, s.limits)
	for _, kept := range []bool{true, false} {
		all, err := s.ListSessions(t.Context(), vm.ID)
		if err != nil || len(all) != len(ids) {
			t.Fatalf("%d sessions, %v", len(all), err)
		}
		for _, x := range all {
			want := int64(1)
			switch x.ID {
			case ids[0]:
				want = 20 // twice by its own change, once by each of 18 others
			case ids[7]:
				want = 0
			}
			if x.StdinOffset != want {
				t.Errorf("kept in memory %v: a session was changed %d times, not %d", kept, x.StdinOffset, want)
			}
		}
		s.lists.sessions = nil // then from the file
	}
	var at time.Time
	last := before
	err = s.WatchEvents(t.Context(), before, func(e banger.Event) error {
		if e.Revision != last+1 || !at.IsZero() && !e.Time.Equal(at) {
			t.Errorf("event %d at %s follows %d at %s: not of one transaction", e.Revision, e.Time, last, at)
		}
		if last, at = e.Revision, e.Time; last == before+2*19 {
			return refused
		}
		return nil
	})
	if !errors.Is(err, refused) {
		t.Error(err)
	}
}

func TestWrite_WhoWaitsForItsTurnCanGiveUp(t *testing.T) {
	s := openTest(t, testPath(t))
	s.turns.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.CreateVM(ctx, banger.VM{ID: banger.NewVMID(), Name: "v"})
		done <- err
	}()
	waitQueued(t, s, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	<-s.turns.turn
	if vms, err := s.ListVMs(t.Context()); err != nil || len(vms) != 0 {
		t.Errorf("there is %+v, %v", vms, err)
	}
}

// together has n changes wait until all of them do, in their order, and returns their results.
func together(t *testing.T, s *Store, n int, change func(i int) error) []error {
	t.Helper()
	results := make([]error, n)
	var running sync.WaitGroup
	s.turns.turn <- struct{}{}
	for i := range n {
		running.Go(func() { results[i] = change(i) })
		waitQueued(t, s, i+1)
	}
	<-s.turns.turn
	running.Wait()
	return results
}

func waitQueued(t *testing.T, s *Store, n int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.turns.mu.Lock()
		queued := len(s.turns.queue)
		s.turns.mu.Unlock()
		if queued == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d changes wait, not %d", queued, n)
		}
	}
}
