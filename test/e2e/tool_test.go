package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"banger"
)

func TestTools_ReadCommandsPrintJSON(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "read-me", "--", "echo", "out")
	waitSession(t, i, "read-me")
	for _, command := range [][]string{
		{"vm", "list"}, {"vm", "show", vmName},
		{"session", "list"}, {"session", "list", vmName}, {"session", "show", vmName, "read-me"}, {"session", "logs", vmName, "read-me"},
		{"image", "list"}, {"image", "show", "default"},
		{"daemon", "status"}, {"doctor"}, {"version"},
	} {
		out := i.MustRun(t, append(command, "--json")...)
		values := 0
		for d := json.NewDecoder(strings.NewReader(out)); ; values++ {
			var v any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%q prints what is no JSON: %v\n%s", command, err, out)
			}
		}
		if values == 0 {
			t.Errorf("%q prints nothing", command)
		}
		if text := i.MustRun(t, command...); len(text) == 0 || text == out {
			t.Errorf("%q prints %q for people", command, text)
		}
	}
}

func TestTools_CompletionKnowsLiveNames(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "to-complete", "--", "true")
	for _, c := range []struct {
		want  string
		typed []string
	}{
		{vmName, []string{"vm", "show", ""}},
		{vmName, []string{"session", "start", "sh"}},
		{vmName, []string{"exec", "sh"}},
		{vmName, []string{"exec", "-it", "sh"}},
		{vmName, []string{"shell", ""}},
		{"to-complete", []string{"session", "logs", vmName, "to-"}},
		{"default", []string{"image", "show", "d"}},
		{"default", []string{"vm", "create", "--image", ""}},
	} {
		out := i.MustRun(t, append([]string{"__complete"}, c.typed...)...)
		if !slices.Contains(strings.Split(out, "\n"), c.want) {
			t.Errorf("%q completes to %q, want %s among them", c.typed, out, c.want)
		}
	}
}

func TestTools_OutputThatIsNoTextIsKeptByteForByte(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "no-text", "--", "sh", "-c", `printf '\377\376\0\n\200'; printf '\303(' >&2`)
	waitSession(t, i, "no-text")
	const stdout, stderr = "\xff\xfe\x00\n\x80", "\xc3("
	if r := i.Run(t, "session", "logs", vmName, "no-text"); string(r.Stdout) != stdout || string(r.Stderr) != stderr {
		t.Errorf("got %q and %q", r.Stdout, r.Stderr)
	}
	var all []byte
	for d := json.NewDecoder(strings.NewReader(i.MustRun(t, "session", "logs", vmName, "no-text", "--json"))); ; {
		var chunk struct{ Data []byte }
		if err := d.Decode(&chunk); err != nil {
			break
		}
		all = append(all, chunk.Data...)
	}
	if !bytes.Contains(all, []byte(stdout)) || !bytes.Contains(all, []byte(stderr)) {
		t.Errorf("as JSON: %q", all)
	}
}

func TestSession_ThatEatsAllMemoryEndsAloneAndThatIsTold(t *testing.T) {
	i := sharedVM(t)
	start(t, i, "bystander", "--stdin", "pipe", "--", "sh", "-c", "read go; cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj; exit 8")
	start(t, i, "hog", "--", "perl", "-e", `push @a, "x" x 1e6 while 1`)
	if x, code := waitSession(t, i, "hog"); code != 128+9 || x.EndedBy != banger.EndedByOOM || x.ExitSignal != "SIGKILL" {
		t.Errorf("the hog ended with %d: %+v", code, x.SessionState)
	}
	i.MustRun(t, "session", "send", vmName, "bystander", "--data", "go\n")
	if x, code := waitSession(t, i, "bystander"); code != 8 {
		t.Errorf("the bystander ended with %d: %+v", code, x.SessionState)
	}
	// Its shim would have been the last to go, the command one like all others.
	if log := i.MustRun(t, "session", "logs", vmName, "bystander"); log != "0\n-999\n" {
		t.Errorf("got %q", log)
	}
}
