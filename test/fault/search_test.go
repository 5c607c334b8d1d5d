package fault

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"banger"
	"banger/test/installation"
	"banger/test/wait"
)

// A pattern that is followed while everything breaks finds each line, once, where it is.
func TestFault_FollowedPatternMissesAndRepeatsNoLine(t *testing.T) {
	r := onLoopback(t)
	x := r.start("s", nil, "/bin/sh", "-c", "while read n; do seq $n $((n+4999)); seq $n $((n+4999)) >&2; done")
	lines := map[banger.Stream][]string{}
	var mu sync.Mutex // guards lines
	have := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return len(lines[banger.StreamStdout]) >= n && len(lines[banger.StreamStderr]) >= n
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.client().ReadLogs(t.Context(), "v", string(x.ID), banger.LogRequest{Stream: banger.StreamBoth, Lines: -1, Follow: true, Grep: "7$"}, func(c banger.LogChunk) error {
			mu.Lock()
			defer mu.Unlock()
			lines[c.Stream] = append(lines[c.Stream], fmt.Sprint(c.Offset, " ", string(c.Data)))
			return nil
		})
		done <- err
	}()
	block := 0
	faults := r.faults()
	for _, name := range sortedKeys(faults) {
		for range sized(2, 10) {
			input := fmt.Sprintf("%d\n", block*5000+1)
			block++
			if _, err := r.client().SendSession(t.Context(), "v", string(x.ID), banger.SendRequest{Data: strings.NewReader(input)}); err != nil {
				t.Fatal(err)
			}
			faults[name]()
			wait.For(t, "the lines of a block, though "+name, func() bool { return have(block * 500) })
		}
	}
	if _, err := r.client().SendSession(t.Context(), "v", string(x.ID), banger.SendRequest{EOF: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var want []string
	offset := 0
	for n := range block * 5000 {
		line := fmt.Sprintln(n + 1)
		if n%10 == 6 {
			want = append(want, fmt.Sprint(offset, " ", line))
		}
		offset += len(line)
	}
	for stream, got := range lines {
		if len(got) != len(want) {
			t.Errorf("%s: %d lines were found, want %d", stream, len(got), len(want))
			continue
		}
		for n := range want {
			if got[n] != want[n] {
				t.Fatalf("line %d of %s is %q, want %q", n, stream, got[n], want[n])
			}
		}
	}
}

// startNeedle starts a session in whose output there is something to find.
func startNeedle(t *testing.T, i *installation.Installation, vm string) {
	t.Helper()
	const script = "seq 20000; echo a needle in $0; seq 5; echo other needle >&2; read x; exit 0"
	i.MustRun(t, "session", "start", vm, "--name", "needle", "--tag", "k=v", "--stdin", "pipe", "--", "sh", "-c", script, vm)
	i.MustRun(t, "session", "wait", vm, "needle", "--match", "other needle")
}

// What is found in a running machine, and on the disk of a stopped one, is where the
// search says.
func findNeedles(t *testing.T, i *installation.Installation) {
	found := strings.Split(strings.TrimSpace(i.MustRun(t, "session", "search", "needle")), "\n")
	if len(found) != 4 {
		t.Fatalf("found %q", found)
	}
	seen := map[string]bool{}
	for _, line := range found {
		word := strings.SplitN(line, " ", 6)
		vm, stream, offset, text := word[0], word[2], word[3], word[5]
		log := i.MustRun(t, "session", "logs", vm, word[1], "--stream", stream, "--from", offset, "--limit", fmt.Sprint(len(text)))
		if stream == "stderr" {
			log = string(i.Run(t, "session", "logs", vm, word[1], "--stream", stream, "--from", offset).Stderr)
		}
		if strings.TrimSpace(log) != text {
			t.Errorf("at the offset of %q is %q", line, log)
		}
		seen[vm+" "+text] = true
	}
	for _, want := range []string{"running a needle in running", "running other needle", "stopped a needle in stopped", "stopped other needle"} {
		if !seen[want] {
			t.Errorf("%q was not found in %q", want, found)
		}
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"needle", "--vm", "stopped", "--stream", "stderr"}, 0},
		{[]string{"needle", "--tag", "k=w"}, 1},
		{[]string{"needle", "--since", "0s"}, 1},
		{[]string{"needle", "--status", "starting"}, 1},
	} {
		if r := i.Run(t, append([]string{"session", "search"}, c.args...)...); r.Code != c.code {
			t.Errorf("want exit status %d: %s", c.code, r)
		}
	}
}

// A disk that cannot be read is reported.
func loseDisk(t *testing.T, i *installation.Installation) {
	disk := i.Paths().VM(show(t, i, "stopped").ID) + "/work.img"
	if err := os.Truncate(disk, 0); err != nil {
		t.Fatal(err)
	}
	r := i.Run(t, "session", "search", "needle")
	if r.Code != 3 || strings.Count(string(r.Stdout), "\n") != 2 || !strings.Contains(string(r.Stderr), `cannot search session "needle" of VM stopped`) {
		t.Errorf("with a disk that cannot be read: %s", r)
	}
}

// Retention that is set in config.toml outlasts the daemon, and reaches what ended
// with its machine, which was killed, when that runs again.
func applyRetention(t *testing.T, i *installation.Installation) {
	there := len(installation.JSON[[]banger.Session](t, i, "session", "list"))
	if r := i.Run(t, "session", "prune", "--keep", "1"); r.Code != 3 || strings.Count(string(r.Stderr), "cannot remove session") != there-1 {
		t.Errorf("of a machine that does not run: %s", r)
	}
	if err := os.WriteFile(i.Paths().Settings(), []byte("[retention]\nkeep = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(i.Paths().Settings()); err != nil {
			t.Error(err)
		}
		i.MustRun(t, "daemon", "stop") // the next one keeps all sessions again
	})
	i.KillDaemon(t)
	i.MustRun(t, "vm", "start", "v")
	names := func() (names []string) {
		for _, x := range installation.JSON[[]banger.Session](t, i, "session", "list") {
			names = append(names, x.Name)
		}
		return names
	}
	wait.For(t, "all but one session to be removed", func() bool { return len(names()) == 1 })
	i.MustRun(t, "session", "start", "v", "--name", "new", "--", "true")
	wait.For(t, "the one before to be removed", func() bool { n := names(); return len(n) == 1 && n[0] == "new" })
	if dirs := i.MustRun(t, "vm", "ssh", "v", "--", "ls", "/root/.local/state/banger/sessions"); strings.Count(dirs, "\n") != 1 {
		t.Errorf("in the guest there are %q", dirs)
	}
}
