package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"banger"
)

func committed() error { return nil }

// ids returns the ids in a kept list, or "none" if there is none.
func (l *lists) ids(vm banger.VMID) []string {
	sessions, kept, _ := l.get(vm)
	if !kept {
		return []string{"none"}
	}
	var ids []string
	for _, x := range sessions {
		ids = append(ids, string(x.ID)+x.Name)
	}
	return ids
}

func TestLists_WhatAChangeMayHaveOvertakenIsNotKept(t *testing.T) {
	list := []banger.Session{{ID: "a"}}
	var l lists
	_, _, before := l.get("")
	if err := l.change(nil, false, committed); err != nil {
		t.Fatal(err)
	}
	l.keep("", list, before, 1)
	_, kept, after := l.get("")
	if kept {
		t.Error("a list is kept that was read before a change")
	}
	l.keep("", list, after, maxListBytes+1)
	if _, kept, _ := l.get(""); kept {
		t.Error("a list is kept whatever its size")
	}
	l.keep("", list, after, 1)
	got, kept, _ := l.get("")
	if !kept || len(got) != 1 {
		t.Fatalf("kept %v: %v", kept, got)
	}
	clear(got)
	if again, _, _ := l.get(""); again[0].ID != "a" {
		t.Error("who gets a list changes the one that is kept")
	}
}

func TestLists_FollowEachChange(t *testing.T) {
	var l lists
	_, _, generation := l.get("")
	l.keep("", []banger.Session{{ID: "a", VMID: "1"}, {ID: "b", VMID: "2"}}, generation, 2)
	l.keep("1", []banger.Session{{ID: "a", VMID: "1"}}, generation, 1)
	changes := []listChange{
		{banger.Session{ID: "c", VMID: "1"}, 1},
		{banger.Session{ID: "a", VMID: "1", Name: "new"}, 1},
		{session: banger.Session{ID: "b", VMID: "2"}},
		{session: banger.Session{ID: "b", VMID: "2"}},
		{banger.Session{ID: "d", VMID: "2"}, 1},
	}
	if err := l.change(changes, false, committed); err != nil {
		t.Fatal(err)
	}
	for vm, want := range map[banger.VMID][]string{"": {"anew", "c", "d"}, "1": {"anew", "c"}, "2": {"none"}} {
		if got := l.ids(vm); !slices.Equal(got, want) {
			t.Errorf("VM %q has %v, not %v", vm, got, want)
		}
	}
}

func TestLists_OfVMsAreReadAgainAfterAChange(t *testing.T) {
	var l lists
	l.keepVMs([]banger.VM{{ID: "1"}}, 0)
	if err := l.change(nil, false, committed); err != nil {
		t.Fatal(err)
	}
	if vms, kept, _ := l.getVMs(); !kept || len(vms) != 1 {
		t.Errorf("after another change %v are kept: %v", vms, kept)
	}
	if err := l.change(nil, true, committed); err != nil {
		t.Fatal(err)
	}
	if vms, kept, _ := l.getVMs(); kept || len(vms) != 0 {
		t.Errorf("after a change %v are kept", vms)
	}
	l.keepVMs([]banger.VM{{ID: "1"}}, 1)
	if _, kept, _ := l.getVMs(); kept {
		t.Error("VMs are kept that were read before a change")
	}
}

func TestLists_AreDroppedWhenTheyCannotBeRight(t *testing.T) {
	full := func() *lists {
		var l lists
		l.keep("", []banger.Session{{ID: "a"}}, 0, 1)
		return &l
	}
	l, failed := full(), errors.New("the disk is full")
	if err := l.change(nil, false, func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a commit fails with %v", err)
	}
	if got := l.ids(""); !slices.Equal(got, []string{"none"}) {
		t.Errorf("after a commit that failed %v is kept", got)
	}
	l = full()
	for range 2 {
		if err := l.change([]listChange{{banger.Session{ID: "a"}, maxListBytes / 2}}, false, committed); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.ids(""); !slices.Equal(got, []string{"none"}) {
		t.Errorf("of too many bytes %v is kept", got)
	}
}

func TestLists_AfterAChangeOnlyThatIsDecoded(t *testing.T) {
	s := openTest(t, testPath(t))
	vm := createVM(t, s, "v")
	const sessions = 500
	var last banger.SessionID
	for n := range sessions {
		x := banger.Session{ID: banger.NewSessionID(), VMID: vm.ID, Name: fmt.Sprint("s", n), SessionState: banger.SessionState{Status: banger.StatusStarting}}
		if _, _, err := s.CreateSession(t.Context(), x, ""); err != nil {
			t.Fatal(err)
		}
		last = x.ID
	}
	list := func() []banger.Session {
		found, err := s.ListSessions(t.Context(), vm.ID)
		if err != nil || len(found) != sessions {
			t.Fatalf("%d sessions: %v", len(found), err)
		}
		return found
	}
	list()
	var offset int64
	allocations := testing.AllocsPerRun(10, func() {
		offset++
		if _, err := s.UpdateSession(t.Context(), last, func(x *banger.Session) error { x.StdinOffset = offset; return nil }); err != nil {
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
