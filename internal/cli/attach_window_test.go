//go:build !unit

package cli

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A viewer whose terminal is smaller than the session's sees a part of the screen, which
// follows the cursor, and is told which.
func TestAttach_AViewerWithASmallTerminalSeesAPart(t *testing.T) {
	l := newLive(t)
	l.sh("large", `stty -echo; printf '\033[2J\033[1;1H%070d\033[24;70Hcorner'; read x; printf '\033[1;1Hlive'; exec sleep 1000`, onTTY)
	first := l.start("session", "wait", "dev", "large", "--match", "corner", "--timeout", "60s")
	if status := first.wait(); status != 0 {
		t.Fatalf("exit status %d: %s", status, first.stderr)
	}
	c := l.startOnTerminal(10, 40, "session", "attach", "dev", "large", "--view")
	c.until("[rows 16-24 of 24, columns 37-76 of 80]")
	if out := c.stdout.String(); !strings.Contains(out, "corner") || strings.Contains(out, "000") {
		t.Errorf("it shows %q", out)
	}
	send := l.start("session", "send", "dev", "large", "--data", "go on\n")
	if status := send.wait(); status != 0 {
		t.Fatalf("exit status %d: %s", status, send.stderr)
	}
	c.until("[rows 1-9 of 24, columns 1-40 of 80]")
	c.until("live" + strings.Repeat("0", 36) + "\x1b")
	setSize(t, c.stdin, 30, 60)
	_ = syscall.Kill(os.Getpid(), syscall.SIGWINCH) // it is not our controlling terminal
	c.until("[rows 1-24 of 24, columns 1-60 of 80]")
	fmt.Fprint(c.stdin, "\x1c")
	if status := c.wait(); status != 0 {
		t.Errorf("exit status %d: %s", status, c.stderr)
	}
}
