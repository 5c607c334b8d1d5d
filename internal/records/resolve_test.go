package records_test

import (
	"errors"
	"fmt"
	"testing"

	"banger"
	"banger/internal/records"
)

func TestResolve_ExactBeforePrefix(t *testing.T) {
	vms := []banger.VM{
		{ID: "aaaa", Name: "web"}, {ID: "abbb", Name: "web-2"}, {ID: "cccc", Name: "db"}, {ID: "dddd", Name: "aaaa"},
	}
	for ref, want := range map[string]banger.VMID{
		"aaaa": "aaaa", // an id before another's name
		"web":  "aaaa", // a name before the beginning of another's
		"web-": "abbb",
		"ab":   "abbb",
		"d":    "", // of an id and of a name
		"a":    "",
		"x":    "",
		"":     "",
	} {
		vm, err := records.Resolve("vm", ref, vms)
		if vm.ID != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %s, %v", ref, vm.ID, err)
		}
	}
}

func TestResolve_ErrorTellsWhatCouldHaveBeenMeant(t *testing.T) {
	var vms []banger.VM
	for n := range 30 {
		vms = append(vms, banger.VM{ID: banger.VMID(fmt.Sprint("id", n)), Name: fmt.Sprint("web", n)})
	}
	for ref, code := range map[string]banger.Code{"web": banger.CodeAmbiguous, "x": banger.CodeNotFound} {
		_, err := records.Resolve("vm", ref, vms)
		e, ok := errors.AsType[*banger.Error](err)
		if !ok || e.Code != code || e.Hint == "" || len(e.Candidates) < 2 || len(e.Candidates) > 12 {
			t.Errorf("%q: %+v", ref, err)
		}
	}
}
