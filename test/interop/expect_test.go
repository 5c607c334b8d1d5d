//go:build interop

package interop

import (
	"strings"
	"testing"
)

// expect drives a program in a session's terminal as it does a program of its own: it detaches
// in the middle of a dialogue, attaches again and finds the program where it was.
func TestInterop_ExpectHoldsADialogueOverADetach(t *testing.T) {
	tried(t, "expect", debian(t, "expect"), "a dialogue with a Python REPL in a session with a terminal, with a detach in the middle")
	p := newPlace(t)
	p.start("repl", []string{"--tty"}, "python3", "-q")
	out := p.run(".", "expect", "testdata/dialogue.exp", "v", "repl")
	if !strings.HasSuffix(strings.TrimSpace(out), "the dialogue is complete") {
		t.Errorf("expect has seen\n%s", out)
	}
	if r := p.Run(t, "session", "wait", "v", "repl"); r.Code != 7 {
		t.Errorf("the program ended with %s", r)
	}
}
