package fault

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/test/installation"
)

// startedPrefix begins the names of the sessions of the test below.
const startedPrefix = "started"

func started(t *testing.T, i *installation.Installation) []banger.Session {
	t.Helper()
	all := installation.JSON[[]banger.Session](t, i, "session", "list", "v")
	return slices.DeleteFunc(all, func(x banger.Session) bool { return !strings.HasPrefix(x.Name, startedPrefix) })
}

func TestFault_AcknowledgedSessionIsThereAndNoneRunsTwice(t *testing.T) {
	i := shared.Running(t, bin, "v")
	const eachNth = 4
	starts := sized(12, 24)
	acknowledged := map[string]bool{}
	for n := range starts {
		name := fmt.Sprint(startedPrefix, n)
		args := []string{"session", "start", "v", "--name", name}
		if n%2 == 0 {
			args = append(args, "--idempotency-key", name) // the client may repeat it
		}
		kill := n%eachNth >= eachNth-2 // one with a key, one without
		var daemon int
		if kill {
			i.MustRun(t, "vm", "list") // starts a daemon if the last kill came after the last answer
			daemon = i.DaemonPID(t)
		}
		start := begin(t, i, append(args, "--", "sh", "-c", "echo "+name+" >> /root/ran; echo out")...)
		if kill {
			time.Sleep(time.Duration(n) * 10 * time.Millisecond) // the moment of the kill is what varies
			installation.Kill(t, daemon)
		}
		acknowledged[name] = start.end(t)
	}
	sessions := started(t, i)
	for name, done := range acknowledged {
		if there := slices.ContainsFunc(sessions, func(x banger.Session) bool { return x.Name == name }); done && !there {
			t.Errorf("session %s was acknowledged and is not there", name)
		}
	}
	ran := map[string]int{}
	for _, x := range sessions {
		i.Run(t, "session", "wait", "v", string(x.ID))
	}
	for line := range strings.Lines(i.MustRun(t, "vm", "ssh", "v", "--", "cat /root/ran")) {
		ran[strings.TrimSpace(line)]++
	}
	for _, x := range started(t, i) {
		want := 1
		if !acknowledged[x.Name] && x.EndedBy == banger.EndedByLaunch {
			want = 0 // it was cut off, and says so
		}
		if ran[x.Name] != want || want == 1 && x.Status != banger.StatusExited {
			t.Errorf("session %s ran %d times: %+v", x.Name, ran[x.Name], x.SessionState)
		}
		if want == 1 && i.MustRun(t, "session", "logs", "v", x.Name) != "out\n" {
			t.Errorf("the log of session %s is not complete", x.Name)
		}
		delete(ran, x.Name)
	}
	if len(ran) != 0 {
		t.Errorf("commands ran without a session: %v", ran)
	}
	lost := 0
	for _, done := range acknowledged {
		if !done {
			lost++
		}
	}
	t.Logf("%d of %d starts were cut off", lost, starts)
}
