package bench

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"banger"
)

const mostSessions = 1000

// BenchmarkScale fills a place with idle sessions and measures at some numbers of them
// the time to start one more, to list all, and until a new daemon knows all. On the
// host it also measures what a thousand of them take while nothing happens.
func BenchmarkScale(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) {
		before := p.daemons(b)
		p.scale(b, 100)
		p.list(b, mostSessions, 100)
		p.idleMemory(b, before)
		p.idleCPU(b)
	})
	inGuest(b, func(b *testing.B, p *place) { p.scale(b, 15) }, "--memory", "3G")
}

// scale measures at some numbers of sessions.
func (p *place) scale(b *testing.B, rounds int) {
	var start, channel, restart quantity // with one session
	had := 0
	for _, sessions := range []int{1, 100, mostSessions} {
		p.fill(b, sessions-had)
		had = sessions
		level := fmt.Sprint("sessions=", sessions)
		m := &measure{Name: "StartAt", Title: "One more session is started", Place: p.name, Level: level, Unit: "ns/op",
			Series: alternate(b, rounds, p.startOne(), p.channelTrue(b))}
		r := &measure{Name: "Restart", Title: "All sessions are known again", Place: p.name, Level: level, Unit: "ns/op",
			Series: alternate(b, 5, p.restartDaemon(b), contender{name: "login", do: func(b *testing.B, _ int) time.Duration {
				return timed(b, func() error { conn, err := p.dial(); return errors.Join(err, conn.Close()) })
			}})}
		if sessions == 1 {
			start, channel, restart = m.of("banger", 0.5), m.of("channel", 0.5), r.of("banger", 0.5)
		} else {
			// The levels cannot alternate, so what the machine has become slower by is in the
			// other's time as well.
			one := quantity{"with 1, as channels then and now", start.Value * m.of("channel", 0.5).Value / channel.Value}
			m.atMost(fmt.Sprintf("session start, %d sessions", sessions), m.of("banger", 0.5), one, 1.3)
			each := quantity{"with 1, and 1 ms for each", restart.Value + float64(sessions)*float64(time.Millisecond)}
			r.atMost(fmt.Sprintf("daemon restart, %d sessions", sessions), r.of("banger", 0.5), each, 1)
		}
		m.record(b)
		r.record(b)
	}
}

// fill starts so many sessions, one after the other: an emulated guest that is given
// several at a time falls behind for minutes.
func (p *place) fill(b *testing.B, sessions int) {
	b.Helper()
	for range sessions {
		p.mustRun(b, idleLaunch())
	}
}

// startOne starts a session, which is removed again.
func (p *place) startOne() contender {
	return contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
		var x banger.Session
		took := timed(b, func() (err error) { x, err = p.run(b, idleLaunch()); return err })
		p.remove(b, x)
		return took
	}}
}

// channelTrue runs a command that does nothing on an open connection: what else the
// machine has to do shows in it as well.
func (p *place) channelTrue(b *testing.B) contender {
	conn := p.connect(b)
	return contender{name: "channel", do: func(b *testing.B, _ int) time.Duration {
		return timed(b, func() error {
			channel, err := conn.NewSession()
			if err != nil {
				return err
			}
			defer channel.Close()
			return channel.Run("true")
		})
	}}
}

// restartDaemon kills the daemon and measures the time from the start of another until
// that has reconciled with the place, and hands on a question to it.
func (p *place) restartDaemon(b *testing.B) contender {
	x := p.mustRun(b, idleLaunch())
	return contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
		p.KillDaemon(b)
		return timed(b, func() error {
			if _, err := p.Command(b.Context(), "vm", "show", "v").Output(); err != nil {
				return err
			}
			_, err := p.ReadLogs(b.Context(), "v", string(x.ID), banger.LogRequest{Lines: 1, Stream: banger.StreamBoth}, func(banger.LogChunk) error { return nil })
			if err != nil {
				return err
			}
			x, err := p.GetSession(b.Context(), "v", string(x.ID))
			if err == nil && x.Status != banger.StatusRunning {
				err = fmt.Errorf("the session is %s", x.Status)
			}
			return err
		})
	}}
}

// list measures the time to list so many sessions, and as many of tmux.
func (p *place) list(b *testing.B, sessions, rounds int) {
	p.fillTmux(b, sessions)
	running := banger.SessionFilter{VM: "v", Status: banger.StatusRunning}
	m := &measure{Name: "List", Title: "All sessions are listed", Place: p.name, Level: fmt.Sprint("sessions=", sessions), Unit: "ns/op", Series: alternate(b, rounds,
		contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error {
				found, err := p.SummarizeSessions(b.Context(), running)
				return enough(len(found), sessions, err)
			})
		}},
		contender{name: "banger-records", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error {
				found, err := p.ListSessions(b.Context(), running)
				return enough(len(found), sessions, err)
			})
		}},
		contender{name: "banger-cli", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error { _, err := p.Command(b.Context(), "session", "list", "v").Output(); return err })
		}},
		contender{name: "tmux", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error {
				out, err := p.ssh(b.Context(), "tmux list-sessions").Output()
				return enough(strings.Count(string(out), "\n"), sessions, err)
			})
		}},
	)}
	m.fewer(fmt.Sprintf("list of %d sessions", sessions), m.of("banger", 0.5), m.of("tmux", 0.5), 10)
	m.record(b)
}

// enough fails a list that has too few sessions.
func enough(found, sessions int, err error) error {
	if err == nil && found < sessions {
		err = fmt.Errorf("%d sessions are listed", found)
	}
	return err
}

// fillTmux has tmux's server start so many sessions, and no client for each.
func (p *place) fillTmux(b *testing.B, sessions int) {
	b.Helper()
	p.startTmux(b)
	for n := 0; n < sessions; n += 100 { // a command list has its limit
		p.must(b, p.ssh(b.Context(), fmt.Sprintf("for n in $(seq %d %d); do echo new-session -d -s idle$n '%q'; done >$HOME/idle.conf && tmux source-file $HOME/idle.conf",
			n, min(n+99, sessions-1), idle)))
	}
}
