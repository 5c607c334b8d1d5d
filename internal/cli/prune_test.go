package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
)

func TestSessionPrune_AsksForWhatIsSelected(t *testing.T) {
	for line, want := range map[string]banger.PruneRequest{
		"--keep 0":                    {Retention: banger.Retention{Keep: new(int)}},
		"--older-than 168h --dry-run": {Retention: banger.Retention{OlderThan: 168 * time.Hour}, DryRun: true},
		"--vm dev --tag k=v=w --keep 3 --max-size 2G": {
			VM: "dev", Tags: map[string]string{"k": "v=w"}, Retention: banger.Retention{Keep: new(3), MaxBytes: 2 << 30},
		},
	} {
		f := &fake{}
		if out := f.must(t, append([]string{"session", "prune"}, strings.Fields(line)...)...); out != "" {
			t.Errorf("%q: stdout %q", line, out)
		}
		if diff := cmp.Diff(want, f.prune); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

func TestSessionPrune_SaysWhatItRemovedAndWhatItLeft(t *testing.T) {
	removed := banger.PrunedSession{SessionPlace: banger.SessionPlace{VM: "dev", Session: "a\x1bb"}, Bytes: 2048, Reason: "keep"}
	left := banger.PrunedSession{Error: banger.Errorf(banger.CodeState, "cannot remove session \x1b: its VM is stopped")}
	f := &fake{pruned: banger.PruneResult{Removed: []banger.PrunedSession{removed}}}
	const table = "VM   REMOVED  ENDED  LOGS  WHY\ndev  a^[b     -      2.0K  keep\n"
	if r := f.run(t, "", "session", "prune", "--keep", "1"); r != (result{0, table, ""}) {
		t.Errorf("got %+v", r)
	}
	f.pruned.Left = []banger.PrunedSession{left}
	want := result{3, table, "banger: cannot remove session ^[: its VM is stopped\nbanger: 1 of 2 sessions were not deleted\n"}
	if r := f.run(t, "", "session", "prune", "--keep", "1"); r != want {
		t.Errorf("got %+v", r)
	}
	if r := f.run(t, "", "session", "prune", "--keep", "1", "--json"); r.status != 3 || !strings.Contains(r.stdout, `"reason": "keep"`) || !strings.Contains(r.stdout, `"left": [`) {
		t.Errorf("as JSON: %+v", r)
	}
}

func TestSessionPrune_WithoutACriterionNamesThem(t *testing.T) {
	r := (&fake{}).run(t, "", "session", "prune", "--vm", "dev")
	for _, flag := range []string{"--older-than", "--keep", "--max-size"} {
		if r.status != exitUsage || !strings.Contains(r.stderr, flag) {
			t.Errorf("exit status %d, stderr %q", r.status, r.stderr)
		}
	}
}
