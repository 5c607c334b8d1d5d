package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"banger/internal/screen"
	"banger/internal/termmodes"
)

// BenchmarkScreen measures how long it takes until the screen that a MiB of output has
// left is known: by what attach paints; by the emulator that it had before; and by tmux
// whose server has no client, from the first byte written to a pane to its answer to
// a question behind the last one.
func BenchmarkScreen(b *testing.B) {
	old := oldScreen(b)
	for _, output := range screens() {
		b.Run(output.name, func(b *testing.B) {
			pane := newPane(b)
			m := &measure{Name: "Screen", Title: "the screen after a MiB", Place: "here", Level: output.name, Unit: "ns/op", Series: alternate(b, 10,
				contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
					return timed(b, func() error {
						s := screen.Source{Rows: 24, Cols: 80, Modes: &termmodes.Modes{}, Output: output.bytes, Begun: true}
						if painted, _ := s.Paint(); !bytes.Contains(painted, []byte("the prompt>")) {
							return fmt.Errorf("%q was painted", painted)
						}
						return nil
					})
				}},
				contender{name: "x/vt", every: 5, do: func(b *testing.B, _ int) time.Duration { return old(b, output.bytes) }},
				contender{name: "tmux", do: func(b *testing.B, _ int) time.Duration {
					return timed(b, func() error { return pane.write(output.bytes) })
				}},
			)}
			m.fewer("the screen after a MiB, against the emulator before", m.of("banger", 0.5), m.of("x/vt", 0.5), 30)
			m.atMost("the screen after a MiB, against tmux", m.of("banger", 0.5), m.of("tmux", 0.5), 1)
			m.record(b)
		})
	}
}

// namedOutput is a MiB of what programs write.
type namedOutput struct {
	name  string
	bytes []byte
}

func screens() []namedOutput {
	fill := func(name string, line func(n int) string) namedOutput {
		var b bytes.Buffer
		for n := 0; b.Len() < screen.ReplayBytes; n++ {
			b.WriteString(line(n))
		}
		return namedOutput{name, append(b.Bytes(), "the prompt> "...)}
	}
	r := rand.New(rand.NewPCG(1, 2))
	return []namedOutput{
		fill("short-lines", func(n int) string { return fmt.Sprintf("%d\r\n", n) }),
		fill("empty-lines", func(int) string { return "\r\n" }),
		fill("lines", func(int) string { return strings.Repeat("a word ", 6+r.IntN(6)) + "\r\n" }),
		fill("one-line", func(int) string { return strings.Repeat("z", 1000) }),
		fill("colours", func(n int) string {
			return fmt.Sprintf("-rw-r--r-- 1 root %6d \x1b[01;3%dmfile%d\x1b[0m\r\n", n*37%99999, 1+n%7, n)
		}),
		fill("wide", func(n int) string {
			return fmt.Sprintf("%d 日本語のテキスト、漢字とかな 한국어\r\n", n)
		}),
		fill("full-screen", func(n int) string {
			return fmt.Sprintf("\x1b[%d;%dH\x1b[38;5;%dmcell %d\x1b[K\x1b[m", 1+n%24, 1+n*7%60, n%256, n)
		}),
	}
}

// oldScreen builds the emulator that attach used before, which is not one of banger's
// dependencies any more.
func oldScreen(b *testing.B) func(b *testing.B, output []byte) time.Duration {
	b.Helper()
	program := filepath.Join(b.TempDir(), "oldscreen")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "testdata/oldscreen"
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return func(b *testing.B, output []byte) time.Duration {
		b.Helper()
		command := exec.Command(program)
		command.Stdin = bytes.NewReader(output)
		return itsOwnTime(b, command)
	}
}

// pane is a terminal of a tmux server that has no client.
type pane struct{ tty *os.File }

func newPane(b *testing.B) pane {
	b.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		b.Fatal(err)
	}
	tmux := func(args ...string) string {
		out, err := exec.Command("tmux", append([]string{"-u", "-S", filepath.Join(dir, "tmux"), "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			b.Fatalf("tmux %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	tmux("new-session", "-d", "-x", "80", "-y", "24", "exec sleep 100000")
	tty, err := os.OpenFile(tmux("list-panes", "-F", "#{pane_tty}"), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		tty.Close()
		tmux("kill-server")
		os.RemoveAll(dir)
	})
	if _, err := term.MakeRaw(int(tty.Fd())); err != nil {
		b.Fatal(err)
	}
	return pane{tty}
}

// write writes, and waits for the answer to a question.
func (p pane) write(output []byte) error {
	if _, err := p.tty.Write(append(output[:len(output):len(output)], "\x1b[5n"...)); err != nil {
		return err
	}
	var got []byte
	for b := make([]byte, 64); !bytes.HasSuffix(got, []byte("\x1b[0n")); {
		n, err := p.tty.Read(b)
		if err != nil {
			return err
		}
		got = append(got, b[:n]...)
	}
	return nil
}
