package store

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"banger"
)

// tellFailed carries out a change of which it is told that its commit has failed, though it
// was made, as a disk may do.
func tellFailed(t *testing.T, s *Store, change func(*tx) error) {
	t.Helper()
	conn, err := s.database.writer.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := context.WithoutCancel(t.Context())
	begun, err := conn.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := &tx{Tx: begun, ctx: ctx, now: time.Now().UTC(), prepared: map[string]*sql.Stmt{}}
	if err := s.Sessions.writer.run(x, change); err != nil {
		t.Fatal(err)
	}
	s.Sessions.lists.begin(x.vms)
	if err := x.Commit(); err != nil {
		t.Fatal(err)
	}
	s.Sessions.writer.tell(x, errors.New("the disk does not answer"))
}

func TestWait_EndsWithAChangeWhoseCommitFailedAndWasMade(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	ids := makeSessions(t, s, vm.ID, 2)
	type result struct {
		x   banger.Session
		err error
	}
	waiting, waited := make(chan struct{}, 2), make(map[banger.SessionID]chan result)
	for _, id := range ids {
		waited[id] = make(chan result, 1)
		go func() {
			looked := false
			x, err := s.Sessions.WaitSession(t.Context(), banger.SessionKey{VM: vm.ID, Session: id}, func(x banger.Session) bool {
				if !looked {
					waiting <- struct{}{}
				}
				looked = true
				return x.Status.Ended()
			})
			waited[id] <- result{x, err}
		}()
	}
	for range ids {
		<-waiting
	}
	tellFailed(t, s, func(x *tx) error {
		before, err := sessionTx{x}.get(banger.SessionKey{VM: vm.ID, Session: ids[0]})
		if err != nil {
			return err
		}
		if _, err := (sessionTx{x}).change(before, func(x *banger.Session) error { x.Status = banger.StatusExited; return nil }); err != nil {
			return err
		}
		gone, err := sessionTx{x}.get(banger.SessionKey{VM: vm.ID, Session: ids[1]})
		if err != nil {
			return err
		}
		return sessionTx{x}.delete(gone)
	})
	if got := <-waited[ids[0]]; got.err != nil || got.x.Status != banger.StatusExited {
		t.Errorf("waited for %+v, %v", got.x.SessionState, got.err)
	}
	if got := <-waited[ids[1]]; banger.CodeOf(got.err) != banger.CodeGone {
		t.Errorf("waited for what was removed: %+v, %v", got.x.SessionState, got.err)
	}
}
