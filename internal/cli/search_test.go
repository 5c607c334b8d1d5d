package cli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"banger"
)

func hit(line string) banger.SearchResult {
	return banger.SearchResult{Hit: &banger.SearchHit{
		SessionPlace: banger.SessionPlace{VM: "dev", Session: "a\x1bb"}, Stream: banger.StreamStderr, Offset: 42,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Line: []byte(line),
	}}
}

func failure() banger.SearchResult {
	return banger.SearchResult{Failure: &banger.SearchFailure{Error: banger.Errorf(banger.CodeUnavailable, "cannot search session \x1b")}}
}

const hitBegin = "dev a^[b stderr 42 2026-01-02T03:04:05.000006Z "

func TestSessionSearch_ExitStatusTellsWhatWasFoundAndWhatWasNotSearched(t *testing.T) {
	for name, c := range map[string]struct {
		fake           fake
		status         int
		stdout, stderr string
	}{
		"found":      {fake{results: []banger.SearchResult{hit("x\xff\x1b\r\n"), hit("no end")}, searchEnd: banger.SearchEnd{Sessions: 1, Lines: 2}}, 0, hitBegin + "x\xff\x1b\n" + hitBegin + "no end\n", ""},
		"nothing":    {fake{searchEnd: banger.SearchEnd{Sessions: 3}}, 1, "", ""},
		"incomplete": {fake{results: []banger.SearchResult{hit("x"), failure()}, searchEnd: banger.SearchEnd{Sessions: 3, Lines: 1, Failures: 1}}, 3, hitBegin + "x\n", "banger: cannot search session ^[\nbanger: 1 of 3 sessions could not be searched\n"},
		"failed":     {fake{err: banger.Errorf(banger.CodeUnavailable, "cannot reach it")}, 125, "", "banger: cannot reach it\n"},
	} {
		r := c.fake.run(t, "", "session", "search", "x")
		if want := (result{c.status, c.stdout, c.stderr}); r != want {
			t.Errorf("%s: got %+v, want %+v", name, r, want)
		}
	}
}

func TestSessionSearch_IsHarmlessOnATerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	f := &fake{results: []banger.SearchResult{hit("\x1b[31mred\n")}, searchEnd: banger.SearchEnd{Lines: 1}}
	c := CLI{Backend: f, Stdin: strings.NewReader(""), Stdout: slave, Stderr: os.Stderr}
	if status := c.Run(t.Context(), []string{"session", "search", "red"}); status != 0 {
		t.Errorf("exit status %d", status)
	}
	slave.Close()
	if got, want := readTerminal(t, master), hitBegin+"^[[31mred\r\n"; got != want {
		t.Errorf("terminal got %q, want %q", got, want)
	}
}

func TestSessionSearch_AsksForWhatIsSelected(t *testing.T) {
	f := &fake{searchEnd: banger.SearchEnd{Lines: 1}}
	f.must(t, "session", "search", "a|b", "--vm", "v", "--vm", "w", "--tag", "k=x=y", "--status", "failed", "--stream", "stderr",
		"--since", "@1", "--until", "@2", "--limit", "7")
	want := banger.SearchRequest{
		Pattern: "a|b", VMs: []string{"v", "w"}, Tags: map[string]string{"k": "x=y"}, Status: banger.StatusFailed,
		Stream: banger.StreamStderr, Since: time.Unix(1, 0), Until: time.Unix(2, 0), Limit: 7,
	}
	if diff := cmp.Diff(want, f.search); diff != "" {
		t.Error(diff)
	}
}

func TestSessionSearch_JSONHasEverything(t *testing.T) {
	f := &fake{results: []banger.SearchResult{hit("x"), failure()}, searchEnd: banger.SearchEnd{Sessions: 2, Lines: 1, Failures: 1}}
	r := f.run(t, "", "session", "search", "x", "--json")
	const want = `{"hit":{"vm_id":"","vm":"dev","session_id":"","session":"a\u001bb","stream":"stderr","offset":42,"time":"2026-01-02T03:04:05.000006Z","line":"eA=="}}
{"failure":{"vm_id":"","vm":"","session_id":"","session":"","error":{"code":"unavailable","message":"cannot search session \u001b"}}}
{"sessions":2,"lines":1,"failures":1,"limited":false}
`
	if r.stdout != want || r.status != 3 {
		t.Errorf("exit status %d, stdout %s", r.status, r.stdout)
	}
}
