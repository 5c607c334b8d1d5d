package store

import (
	"testing"

	"banger"
)

// An end of a machine changes up to 10,000 sessions: their documents are written, and not
// read before.
func TestUpdateSessions_ReadsNothingThatTheListsHave(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	ids := makeSessions(t, s, vm.ID, 20)
	if _, err := s.Sessions.ListSessions(t.Context(), vm.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.database.writer.ExecContext(t.Context(), "UPDATE sessions SET record = 'unreadable'"); err != nil {
		t.Fatal(err)
	}
	err := s.Sessions.UpdateSessions(t.Context(), vm.ID, ids, func(x *banger.Session) error {
		x.Status, x.Sequence = banger.StatusExited, 5
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Sessions.ListSessions(t.Context(), vm.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.Sessions.lists.sessions = nil // read them from the file
	stored, err := s.Sessions.ListSessions(t.Context(), vm.ID)
	if err != nil || len(stored) != len(all) {
		t.Fatalf("%d sessions, %v", len(stored), err)
	}
	for i, x := range all {
		if x.Status != banger.StatusExited || x.Sequence != 5 || x.Revision != stored[i].Revision || stored[i].Status != x.Status {
			t.Errorf("%+v is stored as %+v", x.SessionState, stored[i].SessionState)
		}
	}
}

// What the same transaction has changed before is not in the lists yet.
func TestUpdateSessions_OneTwiceIsChangedTwice(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	id := makeSessions(t, s, vm.ID, 1)[0]
	for range 2 { // before there are lists, and with them
		err := s.Sessions.UpdateSessions(t.Context(), vm.ID, []banger.SessionID{id, id}, func(x *banger.Session) error { x.StdinOffset++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sessions.ListSessions(t.Context(), vm.ID); err != nil {
			t.Fatal(err)
		}
	}
	if x, err := s.Sessions.GetSession(t.Context(), banger.SessionKey{VM: vm.ID, Session: id}); err != nil || x.StdinOffset != 4 {
		t.Errorf("it was changed %d times, %v", x.StdinOffset, err)
	}
}
