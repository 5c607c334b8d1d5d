package bench

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/test/installation"
)

// remoteDelay is one way to a host that is far away, remoteStarts how often something
// is done there.
const (
	remoteDelay  = 100 * time.Millisecond
	remoteStarts = 25
)

// BenchmarkRemoteStart measures what it takes to start a session on a host behind a
// network with 200 ms of delay, and to read a line of its log, in round trips of that
// network. It prints the table in bench/README.md.
func BenchmarkRemoteStart(b *testing.B) {
	bin, err := installation.Build(b.TempDir(), false)
	if err != nil {
		b.Fatal(err)
	}
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
		var starts, reads []time.Duration
		for n := range remoteStarts {
			name := fmt.Sprint("s", n)
			starts = append(starts, timed(b, func() error {
				_, err := c.StartSession(b.Context(), "v", banger.SessionRequest{Name: name, Launch: banger.Launch{Command: "echo", Args: []banger.ByteString{"x"}, StdinMode: banger.StdinClosed}})
				return err
			}))
			if _, err := c.WaitSession(b.Context(), "v", name); err != nil {
				b.Fatal(err)
			}
			reads = append(reads, timed(b, func() error {
				_, err := c.ReadLogs(b.Context(), "v", name, banger.LogRequest{Lines: 10}, func(banger.LogChunk) error { return nil })
				return err
			}))
		}
		var table strings.Builder
		table.WriteString("| on a warm link of 200 ms | median | slowest | round trips |\n| --- | ---: | ---: | ---: |\n")
		for _, row := range []struct {
			what string
			took []time.Duration
		}{{"a session is started", starts}, {"its log is read", reads}} {
			slices.Sort(row.took)
			median := row.took[len(row.took)/2]
			fmt.Fprintf(&table, "| %s | %v | %v | %.2f |\n", row.what, median.Round(time.Millisecond),
				row.took[len(row.took)-1].Round(time.Millisecond), float64(median)/float64(2*remoteDelay))
		}
		fmt.Print("\n", table.String())
	}
	b.ReportMetric(0, "ns/op") // the table says it
}

func timed(b *testing.B, do func() error) time.Duration {
	b.Helper()
	began := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}
