package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"banger/internal/hosttest"
	"banger/test/installation"
)

// beforeUpgrade is the last commit of which an attachment has a socket of its own, and the
// daemon decodes what it passes on.
const beforeUpgrade = "04aea2b"

// How often each thing is done, and how much comes each time.
const (
	streamRounds = 7
	streamBytes  = 1 << 30
	streamEchoes = 2000
)

// BenchmarkStream measures an attachment beside that of an older build, with the client,
// daemon and shim of each: how fast output comes while it is written, and how long a key's
// echo takes.
func BenchmarkStream(b *testing.B) {
	b.Run("host", func(b *testing.B) {
		for b.Loop() {
			server := hosttest.NewSSHServer(b, hosttest.SSHOptions{Lines: []string{"MaxSessions 1000"}})
			peers := []streamPeer{newStreamPeer(b, "banger", "..", server), newStreamPeer(b, "before", treeOf(b, beforeUpgrade), server)}
			var live, echo []contender
			for _, p := range peers {
				live = append(live, contender{name: p.name, do: p.live})
				echo = append(echo, typist(p.name, converse(b, p.run(b, "echo")), ""))
			}
			m := &measure{Name: "Stream", Title: "output while it is written, beside the build before the upgrade", Place: "host", Unit: "B/s",
				Series: perSecond(alternate(b, streamRounds, live...), streamBytes)}
			m.atLeast("throughput, against the build before the upgrade", m.of("banger", 0.5), m.of("before", 0.5), 1.15)
			m.record(b)
			m = &measure{Name: "StreamEcho", Title: "A key's echo, beside the build before the upgrade", Place: "host", Unit: "ns/op",
				Series: alternate(b, streamEchoes, echo...)}
			m.atMost("echo, against the build before the upgrade", m.of("banger", 0.5), m.of("before", 0.5), 1)
			m.record(b)
		}
	})
}

// streamPeer is the client of one commit, and a daemon of it with this host as v.
type streamPeer struct {
	*installation.Installation
	name, program string
}

func newStreamPeer(b *testing.B, name, tree string, server *hosttest.SSHServer) streamPeer {
	b.Helper()
	dir := b.TempDir()
	if tree != ".." {
		command(b, ".", "cp", "-rT", "stream", filepath.Join(tree, "bench", "stream"))
	}
	command(b, tree, "go", "build", "-trimpath", "-o", dir+"/", "./cmd/banger", "./bench/stream")
	command(b, tree, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir+"/", "./cmd/banger-agent", "./cmd/banger-shim")
	i := installation.New(b, installation.Binaries(dir))
	home := filepath.Join(i.Dir, "home")
	target := hosttest.NewSSHHome(b, home, server)
	useConfig(b, i, home)
	i.MustRun(b, "vm", "add", "v", "--ssh", target)
	return streamPeer{i, name, filepath.Join(dir, "stream")}
}

// run returns the command line of the client.
func (p streamPeer) run(b *testing.B, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.Context(), p.program, append([]string{p.Paths().Socket(), "v"}, args...)...)
	cmd.Env, cmd.Stderr = p.Env, os.Stderr
	return cmd
}

// live returns how long it takes until all that a new session writes is here.
func (p streamPeer) live(b *testing.B, _ int) time.Duration {
	b.Helper()
	return itsOwnTime(b, p.run(b, "live", strconv.Itoa(streamBytes)))
}
