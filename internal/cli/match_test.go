//go:build !unit

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"banger"
)

func TestMatch_AgentsTalkToAREPL(t *testing.T) {
	l := newLive(t)
	l.sh("repl", `printf '> '; while read line; do echo "= $(($line))"; printf '> '; done; echo oops >&2; exit 2`, nil)
	if c := l.start("session", "wait", "dev", "repl", "--match", "> "); c.wait() != 0 || c.stdout.String() != "stdout 0\n" {
		t.Errorf("the prompt: %q, %q", c.stdout, c.stderr)
	}
	for data, want := range map[string]string{"6*7\n": "= 42", "1+1\n": "= 2"} {
		c := l.start("session", "send", "dev", "repl", "--data", data, "--then-wait-match", "= .*", "--json")
		var m banger.Match
		if status := c.wait(); status != 0 || json.Unmarshal([]byte(c.stdout.String()), &m) != nil || string(m.Text) != want {
			t.Errorf("%q: exit status %d, %s%s", data, status, c.stdout, c.stderr)
		}
		// What was written before does not answer for what was sent.
		logs := l.start("session", "logs", "dev", "repl", "--stream", "stdout", "--from", "0")
		if logs.wait(); !strings.HasPrefix(logs.stdout.String()[m.Offset:], want) {
			t.Errorf("%q at %d of %q", want, m.Offset, logs.stdout)
		}
	}
	late := l.start("session", "wait", "dev", "repl", "--match", "= ", "--from", "now", "--timeout", "50ms")
	if status := late.wait(); status != 124 || !strings.Contains(late.stderr.String(), "after 50ms") {
		t.Errorf("exit status %d, %q", status, late.stderr)
	}
	end := l.start("session", "send", "dev", "repl", "--eof", "--data", "", "--then-wait-match", "oops", "--stream", "stderr")
	if status := end.wait(); status != 0 || end.stdout.String() != "stderr 0\n" {
		t.Errorf("exit status %d, %q, %q", status, end.stdout, end.stderr)
	}
	never := l.start("session", "wait", "dev", "repl", "--match", "never")
	if status := never.wait(); status != 125 || !strings.Contains(never.stderr.String(), "ended without one") {
		t.Errorf("exit status %d, %q", status, never.stderr)
	}
}
