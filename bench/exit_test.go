package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// BenchmarkExit measures the time from what makes a command end to the moment when
// who waits for it knows.
func BenchmarkExit(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) { exits(b, p, 60) })
	inGuest(b, func(b *testing.B, p *place) { exits(b, p, 15) })
}

func exits(b *testing.B, p *place, rounds int) {
	t := newTrigger(b, p, 6*(rounds+1))
	p.startTmux(b)
	m := &measure{Name: "Exit", Title: "A command's end is known", Place: p.name, Unit: "ns/op", Series: alternate(b, rounds,
		contender{name: "banger", do: func(b *testing.B, _ int) time.Duration {
			command, fire := t.next(b)
			x := p.mustRun(b, shell(command))
			return fire(waiting(func() error {
				_, err := p.WaitSession(b.Context(), string(x.VMID), string(x.ID))
				return err
			}))
		}},
		contender{name: "banger-cli", do: func(b *testing.B, _ int) time.Duration {
			command, fire := t.next(b)
			x := p.mustRun(b, shell(command))
			return fire(begun(b, p.Command(b.Context(), "session", "wait", "v", string(x.ID))))
		}},
		contender{name: "ssh", do: func(b *testing.B, _ int) time.Duration {
			command, fire := t.next(b)
			return fire(begun(b, p.ssh(b.Context(), command)))
		}},
		contender{name: "tmux", do: func(b *testing.B, n int) time.Duration {
			command, fire := t.next(b)
			p.must(b, p.ssh(b.Context(), fmt.Sprintf("tmux new-session -d -s exit%d '%s; tmux wait-for -S exit%d'", n, command, n)))
			return fire(begun(b, p.ssh(b.Context(), fmt.Sprintf("tmux wait-for exit%d", n))))
		}},
		contender{name: "polling", every: 4, do: func(b *testing.B, n int) time.Duration {
			command, fire := t.next(b)
			q, name := polling{p}, fmt.Sprint("exit", n)
			q.launch(b, name, command)
			// The end comes at any moment between two looks: a look and a pause make a cycle.
			cycle := timed(b, func() error { q.look(b, name); return nil }) + pollInterval
			done := waiting(func() error { q.await(b, name, "exited"); return nil })
			<-time.After(rand.N(cycle))
			return fire(done)
		}},
	)}
	m.fewer("exit seen by a waiting client", m.of("banger", 0.5), m.of("polling", 0.5), 20)
	m.atMost("exit seen by a waiting client, against tmux wait-for", m.of("banger", 0.5), m.of("tmux", 0.5), 1)
	m.record(b)
}

// waiting does something that waits, in a goroutine that ends with it.
func waiting(wait func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- wait() }()
	return done
}

// begun starts a command and then waits for it.
func begun(b *testing.B, cmd *exec.Cmd) <-chan error {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return waiting(cmd.Wait)
}

// trigger ends commands of a place on a channel that is open all the time: the same for
// all contenders. Each command reads a line from a fifo of its own.
type trigger struct {
	in    io.Writer
	out   *bufio.Reader
	count int
}

func newTrigger(b *testing.B, p *place, fifos int) *trigger {
	b.Helper()
	p.must(b, p.ssh(b.Context(), fmt.Sprintf("mkdir -p $HOME/t && cd $HOME/t && mkfifo $(seq 0 %d)", fifos)))
	channel, err := p.connect(b).NewSession()
	if err != nil {
		b.Fatal(err)
	}
	t := &trigger{}
	in, _ := channel.StdinPipe()
	out, _ := channel.StdoutPipe()
	t.in, t.out = in, bufio.NewReader(out)
	// A fifo opens when both its ends are opened, so the command is there when "armed" comes.
	if err := channel.Start(`cd $HOME/t && while read n; do exec 3>$n; echo armed; read go; echo >&3; exec 3>&-; done`); err != nil {
		b.Fatal(err)
	}
	return t
}

// next returns a command line that runs until fire is called. That returns how long it
// takes until done says so.
func (t *trigger) next(b *testing.B) (command string, fire func(done <-chan error) time.Duration) {
	n := t.count
	t.count++
	return fmt.Sprintf("read x <$HOME/t/%d", n), func(done <-chan error) time.Duration {
		b.Helper()
		if _, err := fmt.Fprintln(t.in, n); err != nil {
			b.Fatal(err)
		}
		if line, err := t.out.ReadString('\n'); err != nil || strings.TrimSpace(line) != "armed" {
			b.Fatalf("the trigger says %q: %v", line, err)
		}
		return timed(b, func() error {
			_, err := fmt.Fprintln(t.in, "go")
			return errors.Join(err, <-done)
		})
	}
}
