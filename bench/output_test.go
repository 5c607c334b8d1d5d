package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"banger"
)

const gib = "1073741824"

// BenchmarkOutput measures the CPU time for a GiB of output on its way to the log, with
// nobody attached: of the shim, and of a cat that writes the same to a file.
func BenchmarkOutput(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) {
		file := filepath.Join(p.server.Dir, "log")
		m := &measure{Name: "Output", Title: "CPU time for a GiB of output", Place: p.name, Unit: "cpu-ns/GiB", Series: alternate(b, 5,
			contender{name: "banger", do: func(b *testing.B, _ int) time.Duration { return p.shimCPU(b) }},
			contender{name: "cat", do: func(b *testing.B, _ int) time.Duration { return catCPU(b, file) }},
		)}
		m.atMost("CPU time of the output path", m.of("banger", 0.5), m.of("cat", 0.5), 1.5)
		m.record(b)
	})
}

// shimCPU returns the CPU time of a shim whose session writes a GiB.
func (p *place) shimCPU(b *testing.B) time.Duration {
	b.Helper()
	x := p.writer(b, "head -c "+gib+" /dev/zero")
	took := cpu(b, parent(b, x.GuestPID))
	p.remove(b, x)
	return took
}

// shims returns the pids of all shims of a host.
func (p *place) shims() []int { return p.server.Processes("banger-shim\x00") }

// writer returns a session that has written what its command line writes, and runs on.
func (p *place) writer(b *testing.B, command string) banger.Session {
	b.Helper()
	x := p.mustRun(b, longLog(command+"; echo written >&2; exec "+idle))
	if _, err := p.MatchSession(b.Context(), "v", string(x.ID), banger.MatchRequest{Pattern: "^written$", Stream: banger.StreamStderr}); err != nil {
		b.Fatal(err)
	}
	return x
}

// catCPU returns the CPU time of a cat that writes a GiB to a file.
func catCPU(b *testing.B, file string) time.Duration {
	b.Helper()
	head, cat := exec.Command("head", "-c", gib, "/dev/zero"), exec.Command("cat")
	out, err := head.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	log, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	cat.Stdin, cat.Stdout = out, log
	for _, step := range []func() error{head.Start, cat.Start, cat.Wait, head.Wait} {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
	return cat.ProcessState.UserTime() + cat.ProcessState.SystemTime()
}
