package bench

import (
	"io"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
)

// BenchmarkFirstByte measures the time from the start of a new command to the first
// byte of its output at who asked for it.
func BenchmarkFirstByte(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) { p.firstBytes(b, 100) })
	inGuest(b, func(b *testing.B, p *place) { p.firstBytes(b, 15) })
}

func (p *place) firstBytes(b *testing.B, rounds int) {
	conn := p.connect(b)
	m := &measure{Name: "FirstByte", Title: "The first byte of a new session's output", Place: p.name, Unit: "ns/op", Series: alternate(b, rounds,
		contender{name: "banger", do: func(b *testing.B, _ int) time.Duration { return p.firstByte(b) }},
		contender{name: "banger-cli", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error {
				_, err := p.Command(b.Context(), "session", "start", "v", "--attach", "--no-stdin", "--", "echo", "x").Output()
				return err
			})
		}},
		contender{name: "channel", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error { return channelByte(conn) })
		}},
		contender{name: "ssh", do: func(b *testing.B, _ int) time.Duration {
			return timed(b, func() error { _, err := p.ssh(b.Context(), "echo x", "-n").Output(); return err })
		}},
	)}
	m.atMost("first byte of output", m.of("banger", 0.5), m.of("channel", 0.5), 1.5)
	m.record(b)
}

// speak writes a byte, and lives on until its stdin ends.
const speak = "echo x; read y"

// firstByte starts a session with an attachment and receives its first byte. The session
// is removed.
func (p *place) firstByte(b *testing.B) time.Duration {
	var x banger.Session
	l := shell(speak)
	l.StdinMode = banger.StdinPipe
	took := timed(b, func() error {
		var a attachment
		x, a = p.startViewed(b, l)
		defer a.Close()
		_, err := a.Read(make([]byte, 1))
		return err
	})
	p.remove(b, x)
	return took
}

// channelByte is firstByte of an exec channel on an open connection.
func channelByte(conn *ssh.Client) error {
	channel, err := conn.NewSession()
	if err != nil {
		return err
	}
	defer channel.Close()
	out, err := channel.StdoutPipe()
	if err == nil {
		err = channel.Start(speak)
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(out, make([]byte, 1))
	return err
}
