//go:build !unit

package store

import (
	"errors"
	"slices"
	"testing"

	"banger"
)

// names returns what a kept list has of a VM, or "none" if there is none.
func (l *lists) names(vm banger.VMID) []string {
	var names []string
	kept, _ := l.get(vm, 0, func(e sessionEntry) bool {
		names = append(names, string(e.session.ID)+e.session.Name)
		return true
	})
	if !kept {
		return []string{"none"}
	}
	return names
}

func testEntry(seq int64, x banger.Session, bytes int) sessionEntry {
	return sessionEntry{seq: seq, session: &x, bytes: bytes}
}

func testChange(seq int64, x banger.Session, bytes int) listChange {
	return listChange{x.Key(), testEntry(seq, x, bytes)}
}

// loaded returns lists with some sessions.
func loaded(entries ...sessionEntry) *lists {
	var l lists
	l.beginLoad()
	l.endLoad(newSessionList(entries), false)
	return &l
}

func TestLists_FollowEachChange(t *testing.T) {
	l := loaded(testEntry(1, banger.Session{ID: "a", VMID: "1"}, 1), testEntry(2, banger.Session{ID: "b", VMID: "2"}, 1))
	l.begin(false)
	l.end([]listChange{
		testChange(3, banger.Session{ID: "c", VMID: "1"}, 1),
		testChange(0, banger.Session{ID: "a", VMID: "1", Name: "new"}, 1),
		{key: banger.SessionKey{VM: "2", Session: "b"}},
		{key: banger.SessionKey{VM: "2", Session: "b"}},
		testChange(4, banger.Session{ID: "d", VMID: "2"}, 1),
	}, nil)
	for vm, want := range map[banger.VMID][]string{"": {"anew", "c", "d"}, "1": {"anew", "c"}, "2": {"d"}} {
		if got := l.names(vm); !slices.Equal(got, want) {
			t.Errorf("VM %q has %v, not %v", vm, got, want)
		}
	}
	for _, id := range []banger.SessionID{"a", "c"} { // now most places are empty
		l.begin(false)
		l.end([]listChange{{key: banger.SessionKey{VM: "1", Session: id}}}, nil)
	}
	if got := l.names(""); !slices.Equal(got, []string{"d"}) || l.sessions.bytes != 1 || len(l.sessions.entries) != 1 {
		t.Errorf("%v of %d bytes, %d places", got, l.sessions.bytes, len(l.sessions.entries))
	}
}

func TestLists_ChangesDuringALoadAreNotLost(t *testing.T) {
	var l lists
	l.begin(false) // it began before the load, and ends during it
	l.beginLoad()
	l.end([]listChange{testChange(2, banger.Session{ID: "b", Name: "1"}, 1)}, nil)
	read := newSessionList([]sessionEntry{testEntry(1, banger.Session{ID: "a"}, 1), testEntry(2, banger.Session{ID: "b", Name: "2"}, 1)})
	l.begin(false)
	l.end([]listChange{testChange(0, banger.Session{ID: "b", Name: "2"}, 1), testChange(3, banger.Session{ID: "c"}, 1)}, nil)
	l.begin(false)
	l.end([]listChange{{key: banger.SessionKey{Session: "a"}}}, nil)
	l.endLoad(read, false)
	if got := l.names(""); !slices.Equal(got, []string{"b2", "c"}) {
		t.Errorf("%v", got)
	}
}

func TestLists_NobodyWaitsForACommit(t *testing.T) {
	l := loaded(testEntry(1, banger.Session{ID: "a"}, 1))
	l.keepVMs([]banger.VM{{ID: "1"}}, 0)
	l.begin(false)
	if got := l.names(""); !slices.Equal(got, []string{"a"}) {
		t.Errorf("while a change is committed there are %v", got)
	}
	if vms, kept, _ := l.getVMs(); !kept || len(vms) != 1 {
		t.Errorf("while a change of sessions is committed %v are kept: %v", vms, kept)
	}
	l.end([]listChange{testChange(0, banger.Session{ID: "a", Name: "new"}, 1)}, nil)
	if got := l.names(""); !slices.Equal(got, []string{"anew"}) {
		t.Errorf("after it there are %v", got)
	}
}

func TestLists_OfVMsAreReadAgainAfterAChange(t *testing.T) {
	var l lists
	_, _, before := l.getVMs()
	l.begin(true)
	_, _, during := l.getVMs()
	for _, generation := range []int64{before, during} {
		l.keepVMs([]banger.VM{{ID: "1"}}, generation)
		if _, kept, _ := l.getVMs(); kept {
			t.Error("VMs are kept while a change of them is committed")
		}
	}
	l.end(nil, nil)
	for _, generation := range []int64{before, during} {
		l.keepVMs([]banger.VM{{ID: "1"}}, generation)
		if _, kept, _ := l.getVMs(); kept {
			t.Error("VMs are kept that were read before a change")
		}
	}
	_, _, after := l.getVMs()
	l.keepVMs([]banger.VM{{ID: "1"}}, after)
	vms, kept, _ := l.getVMs()
	if !kept || len(vms) != 1 {
		t.Fatalf("%v are kept: %v", vms, kept)
	}
	clear(vms)
	if again, _, _ := l.getVMs(); again[0].ID != "1" {
		t.Error("who gets VMs changes those that are kept")
	}
}

func TestLists_AreDroppedWhenTheyCannotBeRight(t *testing.T) {
	failed := errors.New("the disk is full")
	l := loaded(testEntry(1, banger.Session{ID: "a"}, 1))
	l.begin(false)
	l.end([]listChange{{key: banger.SessionKey{Session: "a"}}}, failed)
	if got := l.names(""); !slices.Equal(got, []string{"none"}) {
		t.Errorf("after a commit that failed %v is kept", got)
	}
	l.beginLoad()
	l.begin(false)
	l.end(nil, failed)
	l.endLoad(newSessionList(nil), false)
	if got := l.names(""); !slices.Equal(got, []string{"none"}) {
		t.Errorf("of a load during which a commit failed %v is kept", got)
	}
}

func TestLists_OfTooManyAreNotKept(t *testing.T) {
	l := loaded(testEntry(1, banger.Session{ID: "a"}, maxListBytes))
	l.begin(false)
	l.end([]listChange{testChange(2, banger.Session{ID: "b"}, 1)}, nil)
	if kept, worth := l.get("", 0, nil); kept || worth {
		t.Errorf("kept: %v; to be read again: %v", kept, worth)
	}
	l.begin(false)
	l.end([]listChange{testChange(0, banger.Session{ID: "b"}, 2)}, nil)
	if _, worth := l.get("", 0, nil); worth {
		t.Error("they are read again although none has been removed")
	}
	l.begin(false)
	l.end([]listChange{{key: banger.SessionKey{Session: "a"}}}, nil)
	if _, worth := l.get("", 0, nil); !worth {
		t.Error("they are not read again although one has been removed")
	}
}

func TestLists_AfterAChangeOnlyThatIsDecoded(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	const sessions = 500
	ids := makeSessions(t, s, vm.ID, sessions)
	list := func() []banger.Session {
		found, err := s.Sessions.ListSessions(t.Context(), vm.ID)
		if err != nil || len(found) != sessions {
			t.Fatalf("%d sessions: %v", len(found), err)
		}
		return found
	}
	list()
	var offset int64
	allocations := testing.AllocsPerRun(10, func() {
		offset++
		if _, err := s.Sessions.UpdateSession(t.Context(), banger.SessionKey{VM: vm.ID, Session: ids[sessions-1]}, func(x *banger.Session) error { x.StdinOffset = offset; return nil }); err != nil {
			t.Fatal(err)
		}
		if found := list(); found[sessions-1].StdinOffset != offset {
			t.Errorf("the list tells %d, not %d", found[sessions-1].StdinOffset, offset)
		}
	})
	if allocations > sessions {
		t.Errorf("a change and a list of %d sessions allocate %v times", sessions, allocations)
	}
}

func TestResolve_OfManySessionsDecodesOnlyTheOne(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	const sessions = 500
	ids := makeSessions(t, s, vm.ID, sessions)
	for _, ref := range []string{string(ids[7]), "s7", string(ids[7][:20])} {
		allocations := testing.AllocsPerRun(10, func() {
			if x, err := s.Sessions.ResolveSession(t.Context(), vm.ID, ref); err != nil || x.ID != ids[7] {
				t.Fatal(x.ID, err)
			}
		})
		if allocations > sessions {
			t.Errorf("to find one of %d sessions by %q allocates %v times", sessions, ref, allocations)
		}
	}
}

func TestPages_OfTooManyToKeepAreReadFromTheFile(t *testing.T) {
	s := openTest(t, testPath(t))
	vm, other := createVM(t, s, "v"), createVM(t, s, "w")
	const sessions = scanRows + 10
	makeSessions(t, s, vm.ID, sessions)
	makeSessions(t, s, other.ID, 3)
	s.Sessions.lists.tooMany = true
	for id, want := range map[banger.VMID]int{vm.ID: sessions, other.ID: 3, "": sessions + 3} {
		list, err := s.Sessions.ListSessions(t.Context(), id)
		if err != nil || len(list) != want {
			t.Errorf("VM %q has %d sessions, %v", id, len(list), err)
		}
	}
	if s.Sessions.lists.sessions != nil {
		t.Error("they are kept")
	}
}
