package storetest

import (
	"testing"

	"banger"
	"banger/internal/records"
)

func testRestore(t *testing.T, s Store) {
	lost := newVM("lost")
	lost.ImageID = "gone"
	vm, err := s.RestoreVM(t.Context(), lost)
	if err != nil || vm.ImageID != "gone" || vm.ID != lost.ID {
		t.Fatalf("a VM whose image is gone: %+v, %v", vm, err)
	}
	_, err = s.RestoreVM(t.Context(), newVM("lost"))
	wantCode(t, err, banger.CodeExists, "lost")
	if vm, err = s.UpdateVM(t.Context(), vm.ID, setState(banger.VMStarting)); err != nil || vm.ImageID != "gone" {
		t.Fatalf("a change of it: %+v, %v", vm, err)
	}
	putImage(t, s, "gone", "back")
	wantCode(t, s.DeleteImage(t.Context(), "gone"), banger.CodeInUse, "lost")

	known, _, err := s.CreateSession(t.Context(), newSession(vm, "a"), "key")
	if err != nil {
		t.Fatal(err)
	}
	again := newSession(vm, "other")
	again.ID = known.ID
	clash, free := newSession(vm, "a"), newSession(vm, "b")
	since := revision(t, s)
	n, err := s.RestoreSessions(t.Context(), []records.FoundSession{
		{Session: again, IdempotencyKey: "key"}, {Session: clash, IdempotencyKey: "key"}, {Session: free, IdempotencyKey: "free"},
	})
	if err != nil || n != 2 || revision(t, s) != since+2 {
		t.Fatalf("restored %d, %v", n, err)
	}
	if x, err := s.GetSession(t.Context(), known.Key()); err != nil || x.Name != "a" {
		t.Errorf("the one that was known: %+v, %v", x, err)
	}
	if x, err := s.GetSession(t.Context(), clash.Key()); err != nil || x.Name != "a-"+string(clash.ID) {
		t.Errorf("the one whose name is taken: %+v, %v", x, err)
	}
	if x, err := s.FindSession(t.Context(), vm.ID, "key"); err != nil || x.ID != known.ID {
		t.Errorf("the key that was taken: %+v, %v", x, err)
	}
	if x, err := s.FindSession(t.Context(), vm.ID, "free"); err != nil || x.ID != free.ID || x.Command != free.Command {
		t.Errorf("the key that was free: %+v, %v", x, err)
	}
}
