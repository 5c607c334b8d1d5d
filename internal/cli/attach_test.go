//go:build !unit

package cli

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
)

func TestAttach_IsATransportForAnyBytes(t *testing.T) {
	l := newLive(t)
	l.sh("filter", "echo begun >&2; cat; echo done >&2; exit 7", nil)
	data := make([]byte, 3<<20)
	rand.Read(data)
	c := l.start("session", "attach", "dev", "filter", "--eof", "--from", "start")
	go func() {
		_, _ = io.Copy(c.stdin, bytes.NewReader(data))
		c.stdin.Close()
	}()
	if status := c.wait(); status != 7 {
		t.Errorf("exit status %d; %s", status, c.stderr)
	}
	if !bytes.Equal([]byte(c.stdout.String()), data) {
		t.Errorf("%d bytes came out that are not the %d that went in", len(c.stdout.String()), len(data))
	}
	if c.stderr.String() != "begun\ndone\n" {
		t.Errorf("stderr is %q", c.stderr)
	}
}

func TestAttach_GoesOnThroughCutLinksAndANewDaemon(t *testing.T) {
	l := newLive(t)
	l.sh("echo", "while read line; do echo got $line; echo $line >&2; done; exit 3", nil)
	c := l.start("session", "attach", "dev", "echo", "--eof", "--from", "start")
	var out, errs strings.Builder
	for i := range 200 {
		fmt.Fprintf(c.stdin, "line %d\n", i)
		fmt.Fprintf(&out, "got line %d\n", i)
		fmt.Fprintf(&errs, "line %d\n", i)
		switch {
		case i == 0:
			c.until("line 0") // it is attached
		case i%50 == 20:
			l.Cut()
		case i%50 == 40:
			l.Restart()
		}
	}
	c.stdin.Close()
	if status := c.wait(); status != 3 {
		t.Errorf("exit status %d", status)
	}
	if c.stdout.String() != out.String() || c.stderr.String() != errs.String() {
		t.Errorf("stdout is %d bytes of %d, stderr %d of %d: %.300q", len(c.stdout.String()), out.Len(), len(c.stderr.String()), errs.Len(), c.stderr)
	}
}

func TestAttach_TheEndOfOurStdinIsTheSessionsOnlyIfAsked(t *testing.T) {
	l := newLive(t)
	l.sh("cat", "cat", nil)
	c := l.start("session", "attach", "dev", "cat")
	fmt.Fprint(c.stdin, "one ")
	c.stdin.Close()
	c.until("one ")
	c.cancel() // as a signal does
	if status := c.wait(); status == 0 {
		t.Errorf("exit status %d", status)
	}
	again := l.start("session", "attach", "dev", "cat", "--eof", "--from", "2")
	fmt.Fprint(again.stdin, "two")
	again.stdin.Close()
	if status := again.wait(); status != 0 || again.stdout.String() != "e two" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, again.stdout, again.stderr)
	}
}

func TestAttach_ToASessionThatHasEnded(t *testing.T) {
	l := newLive(t)
	l.sh("ended", "seq 100000; echo oops >&2; exit 9", nil)
	if _, err := l.Sessions.WaitSession(t.Context(), "dev", "ended"); err != nil {
		t.Fatal(err)
	}
	c := l.start("session", "attach", "dev", "ended", "--from", "start")
	if status := c.wait(); status != 9 || len(c.stdout.String()) != 588895 || c.stderr.String() != "oops\n" {
		t.Errorf("exit status %d, %d bytes of stdout, stderr %q", status, len(c.stdout.String()), c.stderr)
	}
	now := l.start("session", "attach", "dev", "ended")
	if status := now.wait(); status != 9 || now.stdout.String() != "" {
		t.Errorf("from now on: exit status %d, %q", status, now.stdout)
	}
	_, err := l.Sessions.StartSession(t.Context(), "dev", banger.SessionRequest{Name: "never", Launch: banger.Launch{Command: "no-such-command"}})
	if err != nil {
		t.Fatal(err)
	}
	never := l.start("session", "attach", "dev", "never")
	if status := never.wait(); status != 127 || !strings.Contains(never.stderr.String(), "no-such-command") {
		t.Errorf("one that never ran: exit status %d, stderr %q", status, never.stderr)
	}
}

func TestAttach_OneWritesOthersViewOrTakeOver(t *testing.T) {
	l := newLive(t)
	l.sh("cat", "cat", nil)
	first := l.start("session", "attach", "dev", "cat")
	fmt.Fprint(first.stdin, "hello ")
	first.until("hello ")

	refused := l.start("session", "attach", "dev", "cat")
	if status := refused.wait(); status != 125 || !strings.Contains(refused.stderr.String(), "held by") || !strings.Contains(refused.stderr.String(), "--takeover") {
		t.Errorf("exit status %d, stderr %q", status, refused.stderr)
	}
	viewer := l.start("session", "attach", "dev", "cat", "--view", "--from", "start")
	viewer.until("hello ")
	fmt.Fprint(viewer.stdin, "not this ")

	heir := l.start("session", "attach", "dev", "cat", "--takeover", "--eof")
	if status := first.wait(); status != 125 || !strings.Contains(first.stderr.String(), "taken over by") {
		t.Errorf("exit status %d, stderr %q", status, first.stderr)
	}
	fmt.Fprint(heir.stdin, "world")
	heir.stdin.Close()
	for name, c := range map[string]*command{"the heir": heir, "the viewer": viewer} {
		if status := c.wait(); status != 0 {
			t.Errorf("%s: exit status %d, %q", name, status, c.stderr)
		}
	}
	if got := viewer.stdout.String(); got != "hello world" {
		t.Errorf("the viewer saw %q", got)
	}
}

func TestAttach_LendsTheTerminalAndGivesItBack(t *testing.T) {
	l := newLive(t)
	for name, leave := range map[string]func(c *command){
		"the detach key":     func(c *command) { fmt.Fprint(c.stdin, "\x1c") },
		"the session's end":  func(c *command) { fmt.Fprint(c.stdin, "q") },
		"a signal":           func(c *command) { c.cancel() },
		"another's takeover": func(*command) { l.start("session", "attach", "dev", "raw", "--takeover").until("") },
	} {
		l.sh("raw", `stty raw -echo; printf 'ready\033[?1049h\033[?25l\033[?2004h'; dd bs=1 count=1 2>/dev/null; exit 4`, onTTY)
		c := l.startOnTerminal(24, 80, "session", "attach", "dev", "raw", "--from", "start")
		c.until("ready\x1b[?1049h\x1b[?25l\x1b[?2004h")
		before := termios(t, c.stdin)
		if before.Lflag&unix.ICANON != 0 || before.Lflag&unix.ISIG != 0 {
			t.Errorf("%s: the terminal is not raw", name)
		}
		leave(c)
		c.wait()
		if after := termios(t, c.stdin); after.Lflag&unix.ICANON == 0 || after.Lflag&unix.ECHO == 0 {
			t.Errorf("%s: the terminal is raw still", name)
		}
		c.waitFor("the modes to be reset", func() bool {
			out := c.stdout.String()
			return strings.Contains(out, "\x1b[?2004l") && strings.Contains(out, "\x1b[?1049l") && strings.Contains(out, "\x1b[?25h")
		})
		if _, err := l.Control.StopSession(t.Context(), "dev", "raw", banger.StopRequest{Kill: true}); err != nil {
			t.Fatal(err)
		}
		if err := l.Sessions.RemoveSession(t.Context(), "dev", "raw", true); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTerminal_IsGivenBackByAPanic(t *testing.T) {
	master, slave := openTerminal(t, 24, 80)
	defer master.Close()
	defer slave.Close()
	before := termios(t, slave)
	lent := userTerminal(slave, slave)
	if err := lent.lend(); err != nil {
		t.Fatal(err)
	}
	panicked := make(chan any)
	go func() {
		defer func() { panicked <- recover() }()
		defer lent.guard()
		panic("a defect")
	}()
	if got := <-panicked; got != "a defect" {
		t.Errorf("recovered %v", got)
	}
	if after := termios(t, slave); after != before {
		t.Errorf("the terminal is %+v, and was %+v", after, before)
	}
}

func TestAttach_ShowsTheScreenAtOnceAndResizes(t *testing.T) {
	l := newLive(t)
	l.sh("ui", `draw() { printf '\033[2J\033[H%s\033[5;3Hfixed' "$(stty size)"; }
		printf '\033[?1049h'; trap draw WINCH; draw; while :; do sleep 0.05; done`, onTTY)
	first := l.startOnTerminal(24, 80, "session", "attach", "dev", "ui")
	first.until("24 80")
	fmt.Fprint(first.stdin, "\x1c")
	if status := first.wait(); status != 0 || !strings.Contains(first.stderr.String(), "detached from session ui, which keeps running") {
		t.Errorf("exit status %d, stderr %q", status, first.stderr)
	}
	// At the same size the program draws nothing: what is seen was painted.
	same := l.startOnTerminal(24, 80, "session", "attach", "dev", "ui")
	same.until("\x1b[?1049h")
	same.until("\x1b[5;1H  fixed")
	same.until("24 80")
	setSize(t, same.stdin, 30, 90)
	_ = syscall.Kill(os.Getpid(), syscall.SIGWINCH) // it is not our controlling terminal
	same.until("30 90")
	fmt.Fprint(same.stdin, "\x1c")
	same.wait()
	other := l.startOnTerminal(20, 70, "session", "attach", "dev", "ui")
	other.until("20 70")
	fmt.Fprint(other.stdin, "\x1c")
	other.wait()
	raw := l.startOnTerminal(20, 70, "session", "attach", "dev", "ui", "--raw-replay")
	raw.waitFor("the attachment", func() bool { return termios(t, raw.stdin).Lflag&unix.ICANON == 0 })
	fmt.Fprint(raw.stdin, "\x1c")
	raw.wait()
	if got := raw.stdout.String(); strings.Contains(got, "fixed") {
		t.Errorf("with --raw-replay the screen was painted: %q", got)
	}
}

func TestAttach_KeysAreTheSessions(t *testing.T) {
	l := newLive(t)
	l.sh("shell", `trap 'echo caught' INT; echo ready; while :; do read line && echo "got $line"; done`, onTTY)
	c := l.startOnTerminal(24, 80, "session", "attach", "dev", "shell", "--from", "start", "--detach-keys", "ctrl-p,ctrl-q")
	c.until("ready")
	fmt.Fprint(c.stdin, "\x03") // ctrl-c
	c.until("caught")
	fmt.Fprint(c.stdin, "\x1a\x10hi\r") // ctrl-z, and the beginning of the detach keys
	c.until("got ")
	fmt.Fprint(c.stdin, "\x10")
	fmt.Fprint(c.stdin, "\x11")
	if status := c.wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

func TestStart_AttachesAtOnceWithTheTerminalsSize(t *testing.T) {
	l := newLive(t)
	c := l.startOnTerminal(33, 99, "session", "start", "dev", "--attach", "--name", "size", "--", "sh", "-c", "stty size; exit 5")
	if status := c.wait(); status != 5 {
		t.Errorf("exit status %d; %s", status, c.stderr)
	}
	c.until("33 99\r\n")
	piped := l.start("session", "start", "dev", "--attach", "--", "sort", "-r")
	fmt.Fprint(piped.stdin, "a\nb\n")
	piped.stdin.Close()
	if status := piped.wait(); status != 0 || piped.stdout.String() != "b\na\n" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, piped.stdout, piped.stderr)
	}
}

func TestRun_MakesAVMAndLeavesNone(t *testing.T) {
	l := newLive(t)
	vms := func() int {
		list, err := l.VMs.ListVMs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	c := l.start("run", "--", "sh", "-c", "cat; echo bye >&2; exit 6")
	fmt.Fprint(c.stdin, "through")
	c.stdin.Close()
	if status := c.wait(); status != 6 || c.stdout.String() != "through" || c.stderr.String() != "bye\n" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, c.stdout, c.stderr)
	}
	if n := vms(); n != 1 {
		t.Errorf("%d VMs are there", n)
	}
	if missing := l.start("run", "--", "no-such-command"); missing.wait() != 127 || vms() != 1 {
		t.Errorf("exit status %d, %d VMs, %q", missing.wait(), vms(), missing.stderr)
	}
	kept := l.start("run", "--keep", "--", "true")
	kept.stdin.Close()
	if status := kept.wait(); status != 0 || vms() != 2 || !strings.Contains(kept.stderr.String(), "is kept") {
		t.Errorf("--keep: exit status %d, %d VMs, %q", status, vms(), kept.stderr)
	}
	left := l.startOnTerminal(24, 80, "run", "--", "sh", "-c", "echo ready; exec sleep 1000")
	left.until("ready")
	fmt.Fprint(left.stdin, "\x1c")
	if status := left.wait(); status != 0 || vms() != 3 || !strings.Contains(left.stderr.String(), "vm delete --force") {
		t.Errorf("detached: exit status %d, %d VMs, %q", status, vms(), left.stderr)
	}
}

func TestAttach_InterruptsAndDetachesWithoutATerminalOfItsOwn(t *testing.T) {
	l := newLive(t)
	l.sh("job", `trap 'echo interrupted; exit 130' INT; echo ready; while :; do sleep 0.05; done`, nil)
	ctx, stop := WithSignals(t.Context())
	defer stop()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	c := &command{t: t, stdin: out, stdout: &buffer{}, stderr: &buffer{}, status: make(chan int, 1)}
	program := CLI{Version: "v1", Backend: l, Stdin: in, Stdout: c.stdout, Stderr: c.stderr}
	run := func() { c.status <- program.Run(ctx, []string{"session", "attach", "dev", "job", "--from", "start"}) }
	go run()
	c.until("ready")
	_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
	if status := c.wait(); status != 0 || !strings.Contains(c.stderr.String(), "detached") {
		t.Errorf("ctrl-\\: exit status %d, %q", status, c.stderr)
	}
	<-c.status
	c.stdout = &buffer{}
	program.Stdout = c.stdout
	go run()
	c.until("ready")
	_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
	if status := c.wait(); status != 130 {
		t.Errorf("ctrl-c: exit status %d", status)
	}
	c.until("interrupted")
	if ctx.Err() != nil {
		t.Error("the signal was not the session's alone")
	}
}

func TestAttach_SaysWhenInputMayBeLostByLeaving(t *testing.T) {
	l := newLive(t)
	l.sh("deaf", "sleep 1000", nil)
	c := l.start("session", "attach", "dev", "deaf")
	if _, err := c.stdin.Write(make([]byte, 200_000)); err != nil { // its pipe takes 64 KiB
		t.Fatal(err)
	}
	c.cancel()
	c.wait()
	if text := c.stderr.String(); !regexp.MustCompile(`the last [0-9]+ bytes of input may not have reached it`).MatchString(text) {
		t.Errorf("it says %q", text)
	}
}
