package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/creack/pty"

	"banger"
)

// beforeEmulator is the last commit of which attach draws the screen by x/vt.
const beforeEmulator = "1286da3"

// BenchmarkAttach measures the time from the start of attach to a painted screen: of a
// session whose last MiB of output is short lines. The command of the commit before
// talks to the same daemon. It gives up after two seconds, with an empty screen.
func BenchmarkAttach(b *testing.B) {
	before := buildAt(b, beforeEmulator)
	onHost(b, func(b *testing.B, p *place) {
		l := shell("seq 200000; printf 'the prompt> '; exec " + idle)
		l.StdinMode, l.TTY = banger.StdinPipe, true
		x := p.mustRun(b, l)
		if _, err := p.MatchSession(b.Context(), "v", string(x.ID), banger.MatchRequest{Pattern: "the prompt>", Stream: banger.StreamStdout}); err != nil {
			b.Fatal(err)
		}
		attach := func(program string) func(*testing.B, int) time.Duration {
			return func(b *testing.B, _ int) time.Duration {
				cmd := p.Command(b.Context(), "session", "attach", "v", string(x.ID))
				if program != "" {
					cmd.Path = program
				}
				return untilPainted(b, cmd)
			}
		}
		m := &measure{Name: "Attach", Title: "a screen of short lines is painted", Place: p.name, Unit: "ns/op", Series: alternate(b, 5,
			contender{name: "banger", do: attach("")},
			contender{name: "before", do: attach(before)},
		)}
		m.fewer("attach to a MiB of short lines, against x/vt", m.of("banger", 0.5), m.of("before", 0.5), 5)
		m.record(b)
	})
}

// buildAt builds the command line of a commit.
func buildAt(b *testing.B, commit string) (program string) {
	b.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	build := exec.Command("sh", "-c", "git archive "+commit+" | tar -x -C "+dir+" && cd "+dir+" && chmod 755 . && go build -o banger ./cmd/banger")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "banger")
}

// untilPainted runs attach on a terminal until the screen was cleared, which comes
// together with what is painted, and the daemon has let go of it.
func untilPainted(b *testing.B, cmd *exec.Cmd) time.Duration {
	b.Helper()
	begun := time.Now()
	terminal, err := pty.StartWithAttrs(cmd, &pty.Winsize{Rows: 24, Cols: 80}, cmd.SysProcAttr)
	if err != nil {
		b.Fatal(err)
	}
	defer terminal.Close()
	var got []byte
	var took time.Duration
	for buffer := make([]byte, 64<<10); ; {
		n, err := terminal.Read(buffer)
		if got = append(got, buffer[:n]...); took == 0 && bytes.Contains(got, []byte("\x1b[2J")) {
			took = time.Since(begun)
			fmt.Fprint(terminal, "\x1c") // detach
		}
		if err != nil { // its end is an error of a terminal
			break
		}
	}
	if err := cmd.Wait(); err != nil || took == 0 {
		b.Fatalf("%v: %q", err, got)
	}
	return took
}
