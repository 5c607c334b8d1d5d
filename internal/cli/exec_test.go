//go:build !unit

package cli

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
)

func TestExec_IsReadAsDockersUsersWriteIt(t *testing.T) {
	argv := func(words ...string) []banger.ByteString { return banger.ByteStrings(words) }
	for line, want := range map[string]banger.Launch{
		"exec dev -- ls -l":              {Command: "ls", Args: argv("-l"), StdinMode: banger.StdinClosed},
		"exec dev ls -l":                 {Command: "ls", Args: argv("-l"), StdinMode: banger.StdinClosed},
		"exec -it dev sh -i":             {Command: "sh", Args: argv("-i"), StdinMode: banger.StdinPipe, TTY: true},
		"exec dev -it -- sh -i":          {Command: "sh", Args: argv("-i"), StdinMode: banger.StdinPipe, TTY: true},
		"exec -t dev -i sh -- -x":        {Command: "sh", Args: argv("--", "-x"), StdinMode: banger.StdinPipe, TTY: true},
		"exec -w /tmp -u nobody dev pwd": {Command: "pwd", Args: argv(), Cwd: "/tmp", User: "nobody", StdinMode: banger.StdinClosed},
		"exec -e A=1 dev -e B= -- env":   {Command: "env", Args: argv(), Env: map[string]banger.ByteString{"A": "1", "B": ""}, StdinMode: banger.StdinClosed},
		"exec dev --keep-children -- a":  {Command: "a", Args: argv(), KeepChildren: true, StdinMode: banger.StdinClosed},
		"shell dev -u nobody":            {LoginShell: true, User: "nobody", StdinMode: banger.StdinPipe},
		"shell dev -- echo a  b":         {LoginShell: true, Args: argv("-c", "echo a b"), StdinMode: banger.StdinPipe},
	} {
		f := &fake{vms: []banger.VM{{Name: "dev", State: banger.VMRunning}}}
		f.run(t, "", strings.Fields(line)...)
		if got := fmt.Sprintf("%+v", f.started.Launch); got != fmt.Sprintf("%+v", want) || !slices.Equal(f.asked, []string{"exec dev"}) {
			t.Errorf("%s: asked %q for\n%s\nnot\n%+v", line, f.asked, got, want)
		}
	}
}

func TestExec_WrongUsageSaysWhatIsMissing(t *testing.T) {
	for line, says := range map[string]string{
		"exec":                        "VM is missing: banger exec VM -- COMMAND",
		"exec dev":                    "COMMAND is missing: banger exec dev -- COMMAND",
		"exec dev --":                 "COMMAND is missing: banger exec dev -- COMMAND",
		"exec dev -x -- ls":           "unknown shorthand flag: 'x'",
		"exec -w src dev -- ls":       `working directory "src" is not absolute`,
		"exec -e =x dev -- ls":        "not of the form KEY=VALUE",
		"exec -e NOT_SET dev -- ls":   "not set in your environment",
		"exec --name .. dev -- ls":    "is a path of a directory",
		"exec --detach-keys xx dev a": "is no key",
		"shell":                       "VM is missing: banger shell VM",
	} {
		f := &fake{}
		if r := f.run(t, "", strings.Fields(line)...); r.status != exitUsage || !strings.Contains(r.stderr, says) || len(f.asked) > 0 {
			t.Errorf("%s: exit status %d, stderr %q, asked %q", line, r.status, r.stderr, f.asked)
		}
	}
	for _, line := range []string{"exec --help", "exec dev --help", "exec dev -it -h", "shell dev -h"} {
		if out := (&fake{}).must(t, strings.Fields(line)...); !strings.Contains(out, "Usage:") {
			t.Errorf("%s printed %q", line, out)
		}
	}
}

func TestExec_PassesStreamsAndStatusOn(t *testing.T) {
	l := newLive(t)
	c := l.start("exec", "-i", "dev", "--", "sh", "-c", "cat; echo bye >&2; exit 7")
	fmt.Fprint(c.stdin, "through\x00\xff\n")
	c.stdin.Close()
	if status := c.wait(); status != 7 || c.stdout.String() != "through\x00\xff\n" || c.stderr.String() != "bye\n" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, c.stdout, c.stderr)
	}
	killed := l.start("exec", "dev", "--", "sh", "-c", "kill -TERM $$")
	if status := killed.wait(); status != 128+15 {
		t.Errorf("killed by a signal: exit status %d, %q", status, killed.stderr)
	}
	deaf := l.start("exec", "dev", "--", "cat") // without -i, our stdin, which stays open, is not the command's
	if status := deaf.wait(); status != 0 || deaf.stdout.String() != "" {
		t.Errorf("without -i: exit status %d, stdout %q, stderr %q", status, deaf.stdout, deaf.stderr)
	}
}

func TestExec_ArgumentsArriveAsTheyAre(t *testing.T) {
	l := newLive(t)
	odd := []string{"", " ", "a b", "new\nline", `'"`, "$HOME", "*", "-x", "--", strings.Repeat("x", 100_000)}
	words := append([]string{"exec", "dev", "--", "sh", "-c", `for a; do printf '%s:%s\n' "${#a}" "$a"; done`, "name"}, odd...)
	var want strings.Builder
	for _, a := range odd {
		fmt.Fprintf(&want, "%d:%s\n", len(a), a)
	}
	c := l.start(words...)
	if status := c.wait(); status != 0 || c.stdout.String() != want.String() {
		t.Errorf("exit status %d, stdout %.300q, stderr %.300q", status, c.stdout, c.stderr)
	}
	many := append([]string{"exec", "dev", "--", "sh", "-c", "echo $#", "name"}, make([]string, 5000)...)
	if c := l.start(many...); c.wait() != 0 || c.stdout.String() != "5000\n" {
		t.Errorf("of 5000 arguments there are %q, %q", c.stdout, c.stderr)
	}
}

func TestExitStatus_SaysWhetherACommandIsMissingOrCannotBeExecuted(t *testing.T) {
	l := newLive(t)
	text := l.t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := l.t.TempDir() + "/script"
	if err := os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for n, c := range []struct {
		flags, command string
		status         int
	}{
		{"", "no-such-command", 127},
		{"", "/no/such/command", 127},
		{"", script, 127},
		{"", "/etc/passwd", 126},
		{"", "/etc", 126},
		{"", text, 126},
		{"-u nosuchuser", "true", 125},
		{"-w /no/such/place", "true", 125},
	} {
		name := fmt.Sprint("s", n)
		flags := strings.Fields(c.flags)
		lines := [][]string{
			slices.Concat([]string{"exec", "--name", name, "dev"}, flags, []string{"--", c.command}),
			slices.Concat([]string{"exec", "-d", "dev"}, flags, []string{"--", c.command}),
			{"session", "wait", "dev", name},
			{"session", "attach", "dev", name},
		}
		if c.flags == "" {
			lines = append(lines, []string{"run", "--", c.command})
		}
		for _, line := range lines {
			if got := l.start(line...); got.wait() != c.status || !strings.HasPrefix(got.stderr.String(), "banger: cannot launch session ") {
				t.Errorf("%q: exit status %d, not %d, stderr %.300q", line, got.wait(), c.status, got.stderr)
			}
		}
	}
}

func TestExec_TheFirstSizeIsThatOfTheTerminal(t *testing.T) {
	l := newLive(t)
	for range 20 { // a size that comes later comes late sometimes
		c := l.startOnTerminal(41, 137, "exec", "-it", "dev", "--", "stty", "size")
		if status := c.wait(); status != 0 {
			t.Fatalf("exit status %d, %q", status, c.stderr)
		}
		c.until("41 137\r\n")
	}
}

func TestExec_EveryKeyIsTheCommands(t *testing.T) {
	l := newLive(t)
	c := l.startOnTerminal(24, 80, "exec", "-it", "dev", "--", "sh", "-c", "stty raw -echo; echo ready; exec cat -v")
	c.until("ready")
	for key := byte(1); key < 0x20; key++ {
		before := len(c.stdout.String())
		if _, err := c.stdin.Write([]byte{key}); err != nil {
			t.Fatal(err)
		}
		want := "^" + string(rune(key|0x40))
		if key == '\t' || key == '\n' {
			want = string(rune(key))
		}
		c.waitFor(fmt.Sprintf("key %d alone", key), func() bool { return c.stdout.String()[before:] == want })
	}
	c.cancel()
	if c.wait(); !strings.Contains(c.stderr.String(), "detached") {
		t.Errorf("it ended with %q", c.stderr)
	}
}

func TestExec_WithATerminalAndWithoutStdinLeavesTheKeyboardToTheUser(t *testing.T) {
	l := newLive(t)
	ctx, stop := WithSignals(t.Context())
	defer stop()
	master, slave := openTerminal(t, 24, 80)
	defer slave.Close()
	shown := &buffer{}
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			_, _ = shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	defer func() { master.Close(); <-reading }()
	before := termios(t, slave)
	c := &command{t: t, stdin: master, stdout: shown, stderr: &buffer{}, status: make(chan int, 1)}
	program := CLI{Version: "v1", Backend: l, Stdin: slave, Stdout: slave, Stderr: c.stderr}
	go func() {
		c.status <- program.Run(ctx, []string{"exec", "-t", "dev", "--", "sh", "-c", `trap 'exit 9' INT; printf '\033[?25lready'; while :; do sleep 0.05; done`})
	}()
	c.until("\x1b[?25lready")
	if now := termios(t, slave); now != before {
		t.Errorf("the terminal is %+v, and was %+v", now, before)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGINT) // as ctrl-c sends
	if status := c.wait(); status != 9 {
		t.Errorf("exit status %d, %q", status, c.stderr)
	}
	c.until("\x1b[?25h") // what the command has set is taken back
	if now := termios(t, slave); now.Lflag&unix.ICANON == 0 {
		t.Error("the terminal is raw")
	}
}

func TestExec_EndsWithItsCommandWhateverThatLeaves(t *testing.T) {
	l := newLive(t)
	for _, flags := range [][]string{nil, {"-i"}, {"-it"}} {
		for _, keep := range []bool{false, true} {
			words := append([]string{"exec", "--name", "s"}, flags...)
			script := "sleep 1000 & echo $!; exit 7"
			if keep {
				words, script = append(words, "--keep-children"), "trap '' HUP; sleep 1000 >/dev/null 2>&1 & echo $!; exit 7"
			}
			c := l.start(append(words, "dev", "--", "sh", "-c", script)...)
			if status := c.wait(); status != 7 {
				t.Fatalf("%q: exit status %d, %q", words, status, c.stderr)
			}
			x, err := l.Sessions.WaitSession(t.Context(), "dev", "s")
			if err != nil || (x.Survivors != nil) != keep {
				t.Errorf("%q: it leaves %+v, %v", words, x.Survivors, err)
			}
			if _, err := l.Control.StopSession(t.Context(), "dev", "s", banger.StopRequest{Kill: true}); err != nil {
				t.Error(err)
			}
			if err := l.Sessions.RemoveSession(t.Context(), "dev", "s", true); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestExec_WhoLeavesIsToldHowToComeBack(t *testing.T) {
	l := newLive(t)
	c := l.start("exec", "-i", "dev", "--", "sh", "-c", "echo one; read x; echo two; exit 5")
	c.until("one\n")
	c.cancel() // as a signal does
	c.wait()
	hint := regexp.MustCompile(`(?m)^banger: come back with: banger (session attach dev \S+ --from 4,0)$`).FindStringSubmatch(c.stderr.String())
	if hint == nil {
		t.Fatalf("it says %q", c.stderr)
	}
	back := l.start(strings.Fields(hint[1])...)
	fmt.Fprintln(back.stdin)
	if status := back.wait(); status != 5 || back.stdout.String() != "two\n" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, back.stdout, back.stderr)
	}
}

func TestExec_DetachedPrintsTheNameOfWhatRuns(t *testing.T) {
	l := newLive(t)
	c := l.start("exec", "-d", "dev", "--", "sleep", "1000")
	if status := c.wait(); status != 0 {
		t.Fatalf("exit status %d, %q", status, c.stderr)
	}
	x, err := l.Sessions.GetSession(t.Context(), "dev", strings.TrimSpace(c.stdout.String()))
	if err != nil || x.Status != banger.StatusRunning {
		t.Errorf("it is %+v, %v", x.SessionState, err)
	}
}

func TestExec_StartsAVMThatDoesNotRunUnlessToldNotTo(t *testing.T) {
	l := newLive(t)
	stop := func() {
		if _, err := l.VMs.StopVM(t.Context(), "dev", banger.VMStopRequest{Kill: true}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if c := l.start("exec", "--no-start", "dev", "--", "true"); c.wait() != 125 || !strings.Contains(c.stderr.String(), "hint: start it with: banger vm start dev") {
		t.Errorf("--no-start: exit status %d, %q", c.wait(), c.stderr)
	}
	for _, line := range [][]string{{"exec", "dev", "--", "echo", "x"}, {"shell", "dev", "--", "echo", "x"}} {
		c := l.start(line...)
		c.stdin.Close()
		if c.wait() != 0 || c.stdout.String() != "x\n" || c.stderr.String() != "banger: VM dev is stopped; starting it\n" {
			t.Errorf("%q: exit status %d, stdout %q, stderr %q", line, c.wait(), c.stdout, c.stderr)
		}
		stop()
	}
	if c := l.start("exec", "none", "--", "true"); c.wait() != 125 || !strings.Contains(c.stderr.String(), `"none"`) {
		t.Errorf("no such VM: exit status %d, %q", c.wait(), c.stderr)
	}
}

func TestExec_OnATerminalOnlyColoursPass(t *testing.T) {
	l := newLive(t)
	c := l.startOnTerminal(24, 80, "exec", "dev", "--", "sh", "-c", `printf '\033[1;38;5;9mred\033[2J\033]0;owned\a\033[8mhidden'`)
	if status := c.wait(); status != 0 {
		t.Fatalf("exit status %d, %q", status, c.stderr)
	}
	c.until("\x1b[1;38;5;9mred^[[2J^[]0;owned^G^[[8mhidden\x1b[m")
	raw := l.startOnTerminal(24, 80, "exec", "--raw", "dev", "--", "sh", "-c", `printf '\033]0;owned\a'`)
	if status := raw.wait(); status != 0 {
		t.Fatalf("exit status %d, %q", status, raw.stderr)
	}
	raw.until("\x1b]0;owned\x07")
}

func TestShell_IsALoginShellOfTheUser(t *testing.T) {
	l := newLive(t)
	c := l.startOnTerminal(24, 80, "shell", "dev")
	fmt.Fprint(c.stdin, "echo \"<$0 $HOME $(tty | cut -c1-8)>\"; exit 4\n")
	c.until("<-bash /root /dev/pts>")
	if status := c.wait(); status != 4 {
		t.Errorf("exit status %d, %q", status, c.stderr)
	}
	piped := l.start("shell", "dev", "--", "echo", "$0;", "cat;", "exit", "3")
	fmt.Fprint(piped.stdin, "through")
	piped.stdin.Close()
	if status := piped.wait(); status != 3 || piped.stdout.String() != "-bash\nthrough" {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, piped.stdout, piped.stderr)
	}
	list := l.start("ps", "dev")
	if list.wait() != 0 || !strings.Contains(list.stdout.String(), "-shell -c ") {
		t.Errorf("it is listed as\n%s", list.stdout)
	}
}
