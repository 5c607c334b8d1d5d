package bench

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
)

// remoteDelay is one way to a host that is far away, remoteStarts how often something
// is done there. What it takes in round trips is to be far from two.
const (
	remoteGoal   = 1.5
	remoteDelay  = 100 * time.Millisecond
	remoteStarts = 25
)

// BenchmarkRemoteStart measures what it takes to start a session on a host behind a
// network with 200 ms of delay, and to read a line of its log, in round trips of that
// network.
func BenchmarkRemoteStart(b *testing.B) {
	guest := hosttest.Binaries{Agent: filepath.Join(string(bin), "banger-agent"), Shim: filepath.Join(string(bin), "banger-shim")}
	for b.Loop() {
		network := &hosttest.Network{}
		server := hosttest.NewSSHServer(b, hosttest.SSHOptions{Net: network.Through})
		home := b.TempDir()
		target := hosttest.NewSSHHome(b, home, server)
		c := hosttest.NewWith(b, guest, hosttest.Options{Home: home}).Client()
		if _, err := c.AddRemote(b.Context(), banger.RemoteRequest{Name: "v", SSH: target}); err != nil {
			b.Fatal(err)
		}
		network.Become(hosttest.Shape{Delay: remoteDelay})
		name := func(n int) string { return fmt.Sprint("s", n) }
		start := func(b *testing.B, n int) time.Duration {
			took := timed(b, func() error {
				_, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Name: name(n), Launch: banger.Launch{Command: "echo", Args: []banger.ByteString{"x"}, StdinMode: banger.StdinClosed}})
				return err
			})
			if _, err := c.WaitSession(b.Context(), "v", name(n)); err != nil {
				b.Fatal(err)
			}
			return took
		}
		const read = -1 // the session whose log is read
		start(b, read)
		m := &measure{Name: "RemoteStart", Title: "A session start, and a reading of its log, 200 ms away", Place: "far", Unit: "ns/op", Series: alternate(b, remoteStarts,
			contender{name: "start", do: start},
			contender{name: "log", do: func(b *testing.B, _ int) time.Duration {
				return timed(b, func() error {
					_, err := c.ReadLogs(b.Context(), "v", name(read), banger.LogRequest{Lines: 10}, func(banger.LogChunk) error { return nil })
					return err
				})
			}},
		)}
		trip := quantity{Of: "a round trip", Value: float64(2 * remoteDelay)}
		m.atMost("session start far away, in round trips", m.of("start", 0.5), trip, remoteGoal)
		m.atMost("log far away, in round trips", m.of("log", 0.5), trip, remoteGoal)
		m.record(b)
	}
}
