package bench

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"banger"
)

const (
	viewedRound = 16 << 20 // bytes; two rounds fill what is between a session and a viewer
	frozen      = 50       // viewers
)

// BenchmarkFrozenViewers measures what a session's output costs it while viewers do not
// read, beside a session that nobody views.
func BenchmarkFrozenViewers(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) {
		viewed, alone := p.newGauge(b), p.newGauge(b)
		for range frozen {
			a := p.view(b, viewed.session)
			b.Cleanup(func() { a.Close() })
		}
		for range 2 {
			viewed.write(b, 0)
		}
		m := &measure{Name: "FrozenViewers", Title: fmt.Sprintf("%d MiB of output beside %d viewers that do not read", viewedRound>>20, frozen), Place: p.name, Unit: "B/s",
			Series: perSecond(alternate(b, 15, contender{name: "viewed", do: viewed.write}, contender{name: "alone", do: alone.write}), viewedRound)}
		m.atLeast("throughput beside viewers that do not read", m.of("viewed", 0.5), m.of("alone", 0.5), 0.95)
		m.record(b)
	})
}

// gauge is a session that writes a round of output whenever it is told to, and says on
// stderr how long that took.
type gauge struct {
	place   *place
	session banger.Session
	times   *bufio.Reader
}

func (p *place) newGauge(b *testing.B) *gauge {
	b.Helper()
	l := shell(fmt.Sprintf("while read x; do s=$(date +%%s%%N); head -c %d /dev/zero; e=$(date +%%s%%N); echo $((e - s)) >&2; done", viewedRound))
	l.StdinMode = banger.StdinPipe
	g := &gauge{place: p, session: p.mustRun(b, l)}
	times, write := io.Pipe()
	b.Cleanup(func() { times.Close() })
	g.times = bufio.NewReader(times)
	go func() {
		_, err := p.ReadLogs(b.Context(), "v", string(g.session.ID), banger.LogRequest{Stream: banger.StreamStderr, Follow: true, Cursor: &banger.LogCursor{}}, func(c banger.LogChunk) error {
			_, err := write.Write(c.Data)
			return err
		})
		write.CloseWithError(err)
	}()
	return g
}

// write has it write a round.
func (g *gauge) write(b *testing.B, _ int) time.Duration {
	b.Helper()
	if _, err := g.place.SendSession(b.Context(), "v", string(g.session.ID), banger.SendRequest{Data: strings.NewReader("\n")}); err != nil {
		b.Fatal(err)
	}
	line, err := g.times.ReadString('\n')
	took, parseErr := time.ParseDuration(strings.TrimSpace(line) + "ns")
	if err != nil || parseErr != nil {
		b.Fatal(err, parseErr)
	}
	return took
}
