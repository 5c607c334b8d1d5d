package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"
	"time"

	"banger"
)

// BenchmarkThroughput measures how fast output comes through an attachment: while it
// is written, and when it is in the log already.
func BenchmarkThroughput(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) { throughput(b, p, 1<<30, 2) })
	inGuest(b, func(b *testing.B, p *place) { throughput(b, p, 8<<20, 2) })
}

func throughput(b *testing.B, p *place, size, rounds int) {
	produce := fmt.Sprintf("head -c %d /dev/zero", size)
	daemon := p.DaemonPID(b)
	resetPeak(b, daemon)
	room := &measure{Name: "ThroughputMemory", Title: "The daemon's memory while output passes", Place: p.name, Unit: "B",
		Series: []series{{"before", []float64{memory(b, daemon, "VmRSS")}}}}
	live := &measure{Name: "Live", Title: fmt.Sprintf("%d MiB of output while it is written", size>>20), Place: p.name, Unit: "B/s",
		Series: perSecond(alternate(b, rounds,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration { return p.receiveLive(b, produce, size) }},
			contender{name: "banger-cli", every: rounds, do: func(b *testing.B, _ int) time.Duration {
				return readAll(b, p.Command(b.Context(), "session", "start", "v", "--attach", "--no-stdin", "--log-limit", "none", "--", "head", "-c", fmt.Sprint(size), "/dev/zero"), size)
			}},
			p.reading("ssh", p.ssh, produce, size), p.reading("ssh-anew", p.sshAnew, produce, size),
		), size)}
	live.atLeast("throughput, live", live.of("banger", 0.5), live.most("ssh", "ssh-anew"), 0.9)
	live.record(b)

	room.Series = append(room.Series, series{"peak", []float64{memory(b, daemon, "VmHWM")}}, series{"after", []float64{memory(b, daemon, "VmRSS")}})
	before := room.of("before", 0.5)
	room.atMost("memory of the daemon while output passes, peak", room.of("peak", 0.5), quantity{"before and 16 MiB", before.Value + flatMemory}, 1)
	room.record(b)

	x := p.writer(b, produce)
	p.must(b, p.ssh(b.Context(), produce+" >$HOME/log"))
	replay := &measure{Name: "Replay", Title: fmt.Sprintf("%d MiB of output that is in the log", size>>20), Place: p.name, Unit: "B/s",
		Series: perSecond(alternate(b, rounds,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
				return timed(b, func() error { receive(b, p.view(b, x), size); return nil })
			}},
			p.reading("ssh", p.ssh, "cat $HOME/log", size), p.reading("ssh-anew", p.sshAnew, "cat $HOME/log", size),
		), size)}
	replay.atLeast("throughput, replay against live", replay.of("banger", 0.5), live.of("banger", 0.5), 1)
	replay.atLeast("throughput, replay against ssh cat", replay.of("banger", 0.5), replay.most("ssh", "ssh-anew"), 0.9)
	replay.record(b)
}

// flatMemory is how much the daemon's may grow while a gigabyte passes.
const flatMemory = 16 << 20

// reading reads what a command line on the place writes.
func (p *place) reading(name string, ssh func(context.Context, string, ...string) *exec.Cmd, command string, size int) contender {
	return contender{name: name, do: func(b *testing.B, _ int) time.Duration {
		return readAll(b, ssh(b.Context(), command), size)
	}}
}

func longLog(command string) banger.Launch {
	l := shell(command)
	l.LogLimit = banger.NoLogLimit
	return l
}

// receiveLive returns how long it takes from the start of a session until so many
// bytes of its output are here. The session is removed.
func (p *place) receiveLive(b *testing.B, produce string, size int) time.Duration {
	var x banger.Session
	took := timed(b, func() error {
		var a attachment
		x, a = p.startViewed(b, longLog(produce))
		receive(b, a, size)
		return nil
	})
	p.remove(b, x)
	return took
}

// receive receives size bytes of a session's stdout, and ends the attachment.
func receive(b *testing.B, a attachment, size int) {
	b.Helper()
	defer a.Close()
	for size > 0 {
		m, err := a.Receive()
		if err != nil {
			b.Fatalf("%d bytes are missing: %v", size, err)
		}
		if m.Stream == banger.StreamStdout {
			size -= len(m.Data)
		}
	}
}

func (p *place) remove(b *testing.B, x banger.Session) {
	b.Helper()
	if err := p.RemoveSession(b.Context(), string(x.VMID), string(x.ID), true); err != nil {
		b.Fatal(err)
	}
}

// readAll returns how long it takes until a command has written size bytes and ended.
func readAll(b *testing.B, cmd *exec.Cmd, size int) time.Duration {
	b.Helper()
	return timed(b, func() error {
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return err
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{out}, make([]byte, 256<<10))
		if err = errors.Join(err, cmd.Wait()); err == nil && n != int64(size) {
			err = fmt.Errorf("%d bytes came, not %d", n, size)
		}
		return err
	})
}
