package storetest

import (
	"encoding/json"
	"strings"
	"testing"

	"banger"
	"banger/internal/records"
)

func testVMRoundTrip(t *testing.T, s Store) {
	image := putImage(t, s, "img", "default")
	vm := newVM("one")
	vm.ImageID = image.ID
	one, err := s.CreateVM(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	if one.Name != "one" || !one.CreatedAt.Equal(vm.CreatedAt) || one.UpdatedAt.IsZero() || one.Revision == 0 {
		t.Fatalf("created %+v", one)
	}
	two := createVM(t, s, "two")

	got, err := s.GetVM(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "VM", got, one)
	list, err := s.ListVMs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "list", list, []banger.VM{one, two})

	changed, err := s.UpdateVM(t.Context(), one.ID, func(vm *banger.VM) error {
		vm.State, vm.LastError = banger.VMStarting, "none"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Revision <= two.Revision || changed.UpdatedAt.Before(one.UpdatedAt) {
		t.Fatalf("changed to %+v", changed)
	}
	if got, err = s.GetVM(t.Context(), one.ID); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "changed VM", got, changed)
}

func testVMNames(t *testing.T, s Store) {
	createVM(t, s, "one")
	two := createVM(t, s, "two")
	_, err := s.CreateVM(t.Context(), newVM("one"))
	wantCode(t, err, banger.CodeExists, `"one"`)
	_, err = s.UpdateVM(t.Context(), two.ID, func(vm *banger.VM) error { vm.Name = "one"; return nil })
	wantCode(t, err, banger.CodeExists, `"one"`)
	if err := s.DeleteVM(t.Context(), two.ID); err != nil {
		t.Fatal(err)
	}
	createVM(t, s, "two")
}

func testVMImage(t *testing.T, s Store) {
	vm := newVM("one")
	vm.ImageID = "nowhere"
	_, err := s.CreateVM(t.Context(), vm)
	wantCode(t, err, banger.CodeNotFound, "nowhere")
}

func testVMMachine(t *testing.T, s Store) {
	vm := createVM(t, s, "one")
	set := func(ref string) banger.VM {
		vm, err := s.UpdateVM(t.Context(), vm.ID, func(vm *banger.VM) error {
			vm.Machine = json.RawMessage(ref)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
	before := revision(t, s)
	wantEqual(t, "changed VM's machine", string(set(`{"pid":7}`).Machine), `{"pid":7}`)
	got, err := s.GetVM(t.Context(), vm.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "stored machine", string(got.Machine), `{"pid":7}`)
	wantEqual(t, "revision after a change that nobody is told", revision(t, s), before)
	if data, err := json.Marshal(got); err != nil || strings.Contains(string(data), "pid") {
		t.Fatalf("JSON of the VM tells its machine: %s, %v", data, err)
	}
	if got := set(""); got.Machine != nil {
		t.Fatalf("a machine that was removed is %q", got.Machine)
	}
}

func testVMDelete(t *testing.T, s Store) {
	vm, other := createVM(t, s, "one"), createVM(t, s, "two")
	a, b := createSession(t, s, vm, "a"), createSession(t, s, vm, "b")
	kept := createSession(t, s, other, "a")
	since := revision(t, s)
	if err := s.DeleteVM(t.Context(), vm.ID); err != nil {
		t.Fatal(err)
	}
	left, err := s.ListSessions(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "what is left", left, []banger.Session{records.Short(kept)})
	var got []banger.Event
	for _, e := range events(t, s, since) {
		got = append(got, banger.Event{Revision: e.Revision, Kind: e.Kind, VM: e.VM, Session: e.Session})
	}
	a, b = records.Short(a), records.Short(b)
	a.Revision, b.Revision, vm.Revision = since+1, since+2, since+3
	wantEqual(t, "events", got, []banger.Event{
		{Revision: since + 1, Kind: banger.EventSessionDeleted, Session: &a},
		{Revision: since + 2, Kind: banger.EventSessionDeleted, Session: &b},
		{Revision: since + 3, Kind: banger.EventVMDeleted, VM: &vm},
	})
}
