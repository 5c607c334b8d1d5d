package bench

import (
	"testing"
	"time"

	"banger/internal/hosttest"
)

// beforeExec is the last commit without the command exec.
const beforeExec = "f94d3ad"

// execRounds is how often each command line is run.
const execRounds = 100

// BenchmarkExec measures the command line that runs a command to its end, beside that of
// the build before there was exec, each with its own daemon and shims.
func BenchmarkExec(b *testing.B) {
	b.Run("host", func(b *testing.B) {
		for b.Loop() {
			server := hosttest.NewSSHServer(b, hosttest.SSHOptions{Lines: []string{"MaxSessions 1000"}})
			now, before := newStreamPeer(b, "banger", "..", server), newStreamPeer(b, "before", treeOf(b, beforeExec), server)
			run := func(p streamPeer, words ...string) contender {
				return contender{name: p.name, do: func(b *testing.B, _ int) time.Duration {
					return timed(b, func() error { _, err := p.Command(b.Context(), words...).Output(); return err })
				}}
			}
			for name, words := range map[string][]string{"true": {"true"}, "output": {"echo", "x"}} {
				m := &measure{Name: "Exec", Title: "exec -- " + name + ", beside session start --attach of the build before it", Place: "host, " + name, Unit: "ns/op",
					Series: alternate(b, execRounds,
						run(now, append([]string{"exec", "v", "--"}, words...)...),
						run(before, append([]string{"session", "start", "v", "--attach", "--no-stdin", "--"}, words...)...))}
				m.atMost("a command run to its end, against the build before exec", m.of("banger", 0.5), m.of("before", 0.5), 0.8)
				m.record(b)
			}
		}
	})
}
