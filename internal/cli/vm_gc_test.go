package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
)

func TestVMGC_SaysWhatIsRemovedAndWhatStays(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for _, dry := range []bool{false, true} {
		f := &fake{trash: []banger.Trashed{
			{Path: "/state/vms/.trash/x", MovedAt: at, Bytes: 3 << 20, Why: "it has no vm.json"},
			{Path: "/state/vms/.trash/y", MovedAt: at, Busy: "its machine runs"},
		}}
		args := []string{"vm", "gc"}
		if dry {
			args = append(args, "--dry-run")
		}
		r := f.run(t, "", args...)
		if r.status != 0 || !strings.Contains(r.stdout, "3.0M") ||
			!strings.Contains(r.stdout, "it has no vm.json") || strings.Contains(r.stdout, "trash/y") || !strings.Contains(r.stderr, "its machine runs") {
			t.Errorf("dry %v: %+v", dry, r)
		}
		if slices.Contains(f.asked, "empty-trash") == dry {
			t.Errorf("dry %v: asked %q", dry, f.asked)
		}
	}
}
