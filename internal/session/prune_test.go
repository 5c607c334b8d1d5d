//go:build !unit

package session_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
)

// sessionNames returns those of a VM, in the order of their records.
func sessionNames(t *testing.T, h *hosttest.Host, vm string) (names []string) {
	t.Helper()
	sessions, err := h.Sessions.ListSessions(t.Context(), banger.SessionFilter{VM: vm})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range sessions {
		names = append(names, x.Name)
	}
	return names
}

func prune(t *testing.T, h *hosttest.Host, r banger.PruneRequest) (removed, left []string) {
	t.Helper()
	result, err := h.Sessions.PruneSessions(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Removed {
		removed = append(removed, fmt.Sprint(p.VM, "/", p.Session, " ", p.Bytes, " ", p.Reason))
	}
	for _, p := range result.Left {
		left = append(left, fmt.Sprint(p.VM, "/", p.Session, " ", p.Error.Code))
	}
	return removed, left
}

func TestPrune_RemovesWhatIsNamedAndTellsWhatIsLeft(t *testing.T) {
	h := newHost(t)
	other := h.StartVM("other")
	for n := range 4 {
		r := shell(fmt.Sprint("s", n), "echo 1234")
		if n < 2 {
			r.Tags = map[string]string{"k": "v"}
		}
		startIn(t, h, vmName, r)
	}
	startIn(t, h, vmName, banger.SessionRequest{Name: "never", Launch: banger.Launch{Command: "/nowhere", StdinMode: banger.StdinClosed}})
	start(t, h, shell("running", "read x"))
	startIn(t, h, "other", shell("o0", "echo 1234"))
	startIn(t, h, "other", shell("o1", "echo 1234"))

	one := banger.Retention{Keep: new(1)}
	want := []string{"vm/s0 5 keep"}
	for _, dry := range []bool{true, false} { // a dry run removes nothing
		if got, left := prune(t, h, banger.PruneRequest{VM: vmName, Tags: map[string]string{"k": "v"}, Retention: one, DryRun: dry}); !slices.Equal(got, want) || left != nil {
			t.Errorf("dry %v: removed %q, left %q", dry, got, left)
		}
	}
	if got, _ := prune(t, h, banger.PruneRequest{Retention: banger.Retention{OlderThan: time.Hour}}); got != nil {
		t.Errorf("of what is new it has removed %q", got)
	}
	h.PowerOff(other.ID)
	if _, err := h.Sessions.WaitSession(t.Context(), "other", "o1"); err != nil {
		t.Fatal(err)
	}
	for _, dry := range []bool{true, false} {
		got, left := prune(t, h, banger.PruneRequest{Retention: one, DryRun: dry})
		if !slices.Equal(got, []string{"vm/s1 5 keep", "vm/s2 5 keep", "vm/s3 5 keep"}) || !slices.Equal(left, []string{"other/o0 wrong_state"}) {
			t.Errorf("dry %v: removed %q, left %q", dry, got, left)
		}
	}
	if got := sessionNames(t, h, vmName); !slices.Equal(got, []string{"never", "running"}) {
		t.Errorf("there are %q", got)
	}
	if got := sessionNames(t, h, "other"); !slices.Equal(got, []string{"o0", "o1"}) {
		t.Errorf("of the other VM there are %q", got)
	}
	_, err := h.Streams.ReadLogs(t.Context(), vmName, "s3", all, nil)
	if banger.CodeOf(err) != banger.CodeNotFound {
		t.Errorf("the log of one that was removed: %v", err)
	}
}

func TestPrune_NeedsACriterionThatCanBe(t *testing.T) {
	h := newHost(t)
	for name, r := range map[string]banger.PruneRequest{
		"none":             {VM: vmName},
		"a negative age":   {Retention: banger.Retention{OlderThan: -1}},
		"a negative count": {Retention: banger.Retention{Keep: new(-1)}},
		"a negative size":  {Retention: banger.Retention{MaxBytes: -1}},
	} {
		if _, err := h.Sessions.PruneSessions(t.Context(), r); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
