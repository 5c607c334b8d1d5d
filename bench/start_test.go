package bench

import (
	"fmt"
	"testing"
	"time"

	"banger"
)

// idle is a command that does nothing.
const idle = "sleep 100000"

func idleLaunch() banger.Launch {
	return banger.Launch{Command: "sleep", Args: []banger.ByteString{"100000"}, StdinMode: banger.StdinClosed}
}

// shell is a session of a shell's command line.
func shell(command string) banger.Launch {
	return banger.Launch{Command: "sh", Args: []banger.ByteString{"-c", banger.ByteString(command)}, StdinMode: banger.StdinClosed}
}

// BenchmarkStart measures the time until a command runs, on a warm link.
func BenchmarkStart(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) { p.starts(b, 100, 1) })
	inGuest(b, func(b *testing.B, p *place) { p.starts(b, 30, 4) }, "--memory", "2G")
}

// starts has those that nobody's goal is about start in one of so many rounds.
func (p *place) starts(b *testing.B, rounds, every int) {
	p.startTmux(b)
	line := func(name, command string) contender {
		return contender{name: name, every: every, do: func(b *testing.B, n int) time.Duration {
			cmd := p.ssh(b.Context(), fmt.Sprintf(command, n))
			return timed(b, func() error { p.must(b, cmd); return nil })
		}}
	}
	m := &measure{Name: "Start", Title: "A session is started", Place: p.name, Unit: "ns/op", Series: alternate(b, rounds,
		contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error { _, err := p.run(b, idleLaunch()); return err })
		}},
		contender{name: "banger-cli", every: every, do: func(b *testing.B, _ int) time.Duration {
			return timed(b, p.Command(b.Context(), "session", "start", "v", "--", "sleep", "100000").Run)
		}},
		contender{name: "tmux", every: min(every, 2), do: line("", "tmux new-session -d -s s%d "+idle).do},
		line("nohup", "nohup "+idle+" >$HOME/log%d 2>&1 </dev/null &"),
		line("dtach", "dtach -n $HOME/d%d "+idle),
		line("true", "true %d"),
		contender{name: "polling", every: 5 * every, do: polling{p}.start},
	)}
	ours := m.of("banger", 0.5)
	m.fewer("session start", ours, m.of("tmux", 0.5), 10)
	m.fewer("session start", ours, m.of("polling", 0.5), 50)
	m.fewer("session start, p99", m.of("banger", 0.99), m.of("tmux", 0.99), 10)
	m.atMost("session start, its own spread", m.of("banger", 0.99), ours, 4)
	m.record(b)
}

// mustRun is run for sessions that have to.
func (p *place) mustRun(b *testing.B, l banger.Launch) banger.Session {
	b.Helper()
	x, err := p.run(b, l)
	if err != nil {
		b.Fatal(err)
	}
	return x
}

// run starts a session, which must run or have ended by itself.
func (p *place) run(b *testing.B, l banger.Launch) (banger.Session, error) {
	x, err := p.StartSession(b.Context(), "v", banger.SessionRequest{Launch: l})
	if err == nil && x.Status != banger.StatusRunning && x.Status != banger.StatusExited {
		err = fmt.Errorf("the session is %s: %s", x.Status, x.LaunchMessage)
	}
	return x, err
}
