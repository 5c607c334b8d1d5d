package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"banger"
)

func testEventKinds(t *testing.T, s Store) {
	ctx := t.Context()
	putImage(t, s, "img", "default")
	putImage(t, s, "img", "other")
	vm := createVM(t, s, "one")
	if _, err := s.UpdateVM(ctx, vm.ID, setState(banger.VMStarting)); err != nil {
		t.Fatal(err)
	}
	x := createSession(t, s, vm, "a")
	if _, err := s.UpdateSession(ctx, x.Key(), func(x *banger.Session) error { x.Status = banger.StatusRunning; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{s.DeleteSession(ctx, x.Key()), s.DeleteVM(ctx, vm.ID), s.DeleteImage(ctx, "img")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, e := range events(t, s, 0) {
		got = append(got, summary(e))
	}
	wantEqual(t, "events", got, []string{
		`1 image.created img "default" 1`,
		`2 image.changed img "other" 2`,
		`3 vm.created one stopped 3`,
		`4 vm.changed one starting 4`,
		`5 session.created a starting 5`,
		`6 session.changed a running 6`,
		`7 session.deleted a running 7`,
		`8 vm.deleted one starting 8`,
		`9 image.deleted img "other" 9`,
	})
	wantEqual(t, "events after 7", len(events(t, s, 7)), 2)
}

func testEventsFromNow(t *testing.T, s Store) {
	createVM(t, s, "old")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan string, 100)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		_ = s.WatchEvents(ctx, -1, func(e banger.Event) error { got <- e.VM.Name; return nil })
	})
	// Nothing reports when the watch has begun, so VMs are made until it sees one.
	for i := 0; ; i++ {
		createVM(t, s, fmt.Sprintf("new-%d", i))
		select {
		case name := <-got:
			if name == "old" {
				t.Fatal("a watch from now on told what was before")
			}
			return
		default:
		}
	}
}

func testEventsFromFuture(t *testing.T, s Store) {
	createVM(t, s, "one")
	err := s.WatchEvents(t.Context(), 2, func(banger.Event) error { return nil })
	wantCode(t, err, banger.CodeInvalid, "the newest is 1")
}

func testEventsEnd(t *testing.T, s Store) {
	createVM(t, s, "one")
	cause := errors.New("reader is done")
	if err := s.WatchEvents(t.Context(), 0, func(banger.Event) error { return cause }); !errors.Is(err, cause) {
		t.Fatalf("the watch ended with %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.WatchEvents(ctx, 0, func(banger.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the watch ended with %v", err)
	}
}

// testEventsConcurrent has readers that begin at different times while several
// write, and one that leaves and comes back after every few events.
func testEventsConcurrent(t *testing.T, s Store) {
	const writers, each = 4, 15
	const last = 1 + writers + writers*each
	vm := createVM(t, s, "one")
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			x, _, err := s.CreateSession(t.Context(), newSession(vm, fmt.Sprint("s", w)), "")
			if err != nil {
				t.Error(err)
				return
			}
			for range each {
				if _, err := s.UpdateSession(t.Context(), x.Key(), func(x *banger.Session) error { x.StdinOffset++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for r := range 4 {
		wg.Go(func() { readAll(t, s, last, r*3) })
	}
	wg.Wait()
}

// readAll reads every event up to last, in turns of at most stride if that is
// not 0, and checks that each comes once and in order.
func readAll(t *testing.T, s Store, last, stride int) {
	since := int64(0)
	for since < int64(last) {
		turn := 0
		err := s.WatchEvents(t.Context(), since, func(e banger.Event) error {
			if e.Revision != since+1 {
				return fmt.Errorf("event %d came after %d", e.Revision, since)
			}
			since = e.Revision
			if turn++; since == int64(last) || turn == stride {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Error(err)
			return
		}
	}
}

func testEventsSlowReader(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	const updates = 20
	seen := make(chan int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(seen)
		err := s.WatchEvents(t.Context(), 0, func(e banger.Event) error {
			seen <- e.Revision
			if e.Revision == 1+updates {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Error(err)
		}
	})
	<-seen // the reader has the first event and is not asked for the next until all is written
	for i := range updates {
		if _, err := s.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error { vm.LastError = fmt.Sprint(i); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	next := int64(2)
	for revision := range seen {
		wantEqual(t, "revision", revision, next)
		next++
	}
	wg.Wait()
	wantEqual(t, "revisions seen", next, int64(2+updates))
}
