//go:build !unit

package cli

import (
	"fmt"
	"strings"
	"testing"
)

func TestAttach_AReplayHasNoSideEffects(t *testing.T) {
	l := newLive(t)
	old := "\x1b[1mold\x1b[c\x1b[6n\x1b]52;c;aGk=\x07\x1b]9;note\x07\x07 ready"
	l.sh("asks", `stty raw -echo; printf '\033[1mold\033[c\033[6n\033]52;c;aGk=\007\033]9;note\007\007 ready'
		while :; do case $(dd bs=1 count=1 2>/dev/null) in x) printf '\033[c\007live' ;; esac; done`, onTTY)
	piped := l.start("session", "attach", "dev", "asks", "--view", "--from", "start")
	piped.until(" ready")
	if got := piped.stdout.String(); got != old {
		t.Errorf("through a pipe: %q", got)
	}
	for _, args := range [][]string{{"--from", "start"}, {"--from", "3"}, {"--from", "0", "--raw-replay"}, {"--from", "start", "--takeover"}} {
		c := l.startOnTerminal(24, 80, append([]string{"session", "attach", "dev", "asks"}, args...)...)
		c.until(" ready")
		shown := c.stdout.String()
		if i := strings.Index(shown, "ready") + len("ready"); strings.ContainsAny(shown[:i], "\x07") || strings.Contains(shown[:i], "\x1b[c") || strings.Contains(shown, "\x1b[6n") {
			t.Errorf("%v: the terminal gets %q", args, shown)
		}
		// What the program answers to the first keys may be old here. Each key waits for the
		// answer to the one before, so that none is left for whoever comes next.
		for n := 0; !strings.Contains(c.stdout.String(), "\x1b[c\x07live"); n = strings.Count(c.stdout.String(), "live") {
			fmt.Fprint(c.stdin, "x")
			c.waitFor("an answer", func() bool { return strings.Count(c.stdout.String(), "live") > n })
		}
		fmt.Fprint(c.stdin, "\x1c")
		c.wait()
	}
	for _, args := range [][]string{{"session", "logs", "dev", "asks", "--raw"}, {"session", "attach", "dev", "asks", "--view", "--from", "start"}} {
		c := l.startOnTerminal(24, 80, args...)
		c.until("live")
		if got := c.stdout.String(); strings.Contains(got, "\x1b[c") || strings.Contains(got, "\x1b]52") || !strings.Contains(got, "\x1b[1mold") {
			t.Errorf("%v: the terminal gets %q", args, got)
		}
	}
	kept := l.start("session", "logs", "dev", "asks", "--lines", "all")
	if kept.wait(); !strings.HasPrefix(kept.stdout.String(), old) {
		t.Errorf("the log has %q", kept.stdout)
	}
}
