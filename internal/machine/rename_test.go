package machine_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/internal/hosttest"
)

// A name is all that changes: the VM keeps its machine and its id, and every part that knew
// the old name has the new one.
func TestRename_IsOneEventAndHoldsForARunningVM(t *testing.T) {
	h := hosttest.New(t, bin)
	h.StartVM("taken")
	before := h.StartVM("old")
	since, err := h.Store.Events.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vm, err := h.VMs.RenameVM(t.Context(), "old", banger.VMRename{Name: "new"})
	if err != nil || vm.ID != before.ID || vm.Name != "new" || vm.State != banger.VMRunning || vm.BootID != before.BootID {
		t.Fatalf("%+v, %v", vm, err)
	}
	if again, err := h.VMs.RenameVM(t.Context(), "new", banger.VMRename{Name: "new"}); err != nil || again.Revision != vm.Revision {
		t.Errorf("the same name again: %+v, %v", again, err)
	}
	if revision, err := h.Store.Events.Revision(t.Context()); err != nil || revision != since+1 {
		t.Errorf("%d events, %v", revision-since, err)
	}
	stop := banger.Errorf(banger.CodeGone, "seen")
	_ = h.Store.Events.WatchEvents(t.Context(), since, func(e banger.Event) error {
		if e.Kind != banger.EventVMChanged || e.VM.Name != "new" {
			t.Errorf("event %+v", e)
		}
		return stop
	})
	if _, err := h.VMs.GetVM(t.Context(), "old"); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("by its old name: %v", err)
	}
	file, err := os.ReadFile(filepath.Join(h.Paths.VM(vm.ID), "vm.json"))
	if err != nil || !strings.Contains(string(file), `"new"`) {
		t.Errorf("its file has %s, %v", file, err)
	}
	for name, code := range map[string]banger.Code{"taken": banger.CodeExists, "Upper": banger.CodeInvalid, "-x": banger.CodeInvalid, "": banger.CodeInvalid} {
		if _, err := h.VMs.RenameVM(t.Context(), "new", banger.VMRename{Name: name}); banger.CodeOf(err) != code {
			t.Errorf("name %q: %v, want %s", name, err, code)
		}
	}
	if _, err := h.VMs.RenameVM(t.Context(), "none", banger.VMRename{Name: "x"}); banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("no such VM: %v", err)
	}
	h.Restart()
	if vm := get(t, h, "new"); vm.State != banger.VMRunning {
		t.Errorf("the next daemon finds %+v", vm)
	}
}
