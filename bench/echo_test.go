package bench

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"banger"
)

// keys are typed in turn, so that an echo that comes late, or twice, is none of the next:
// what no escape sequence has, and ssh means nothing by.
const keys = "#%&"

// Who echoes is cat in each case: on a terminal it reads each key as an editor would.
const (
	echoPipe = "exec cat"
	echoTTY  = "stty raw -echo; exec cat"
)

// BenchmarkEcho measures the time from a key to its echo, on pipes and on a terminal.
func BenchmarkEcho(b *testing.B) {
	onHost(b, func(b *testing.B, p *place) { p.echoes(b, 2000) })
	inGuest(b, func(b *testing.B, p *place) { p.echoes(b, 300) })
}

func (p *place) echoes(b *testing.B, rounds int) {
	echoOnPipes(b, p, rounds)
	echoOnTerminals(b, p, rounds)
}

func echoOnPipes(b *testing.B, p *place, rounds int) {
	conn := p.connect(b)
	channel, err := conn.NewSession()
	if err != nil {
		b.Fatal(err)
	}
	in, _ := channel.StdinPipe()
	out, _ := channel.StdoutPipe()
	if err := channel.Start(echoPipe); err != nil {
		b.Fatal(err)
	}
	x := p.mustRun(b, banger.Launch{Command: "cat", StdinMode: banger.StdinPipe})
	y := p.mustRun(b, banger.Launch{Command: "cat", StdinMode: banger.StdinPipe})
	m := &measure{Name: "EchoPipe", Title: "A key's echo through pipes", Place: p.name, Unit: "ns/op", Series: alternate(b, rounds,
		typist("banger", p.attach(b, x), ""),
		typist("banger-cli", converse(b, p.Command(b.Context(), "session", "attach", "v", string(y.ID))), ""),
		typist("ssh", converse(b, p.ssh(b.Context(), echoPipe)), ""),
		typist("ssh-anew", converse(b, p.sshAnew(b.Context(), echoPipe)), ""),
		typist("channel", pipes{in, out}, ""),
	)}
	m.judgeEcho("echo on pipes")
	m.record(b)
}

func echoOnTerminals(b *testing.B, p *place, rounds int) {
	tty := func(anew bool, command string) io.ReadWriter {
		ssh := p.ssh
		if anew {
			ssh = p.sshAnew
		}
		cmd := ssh(b.Context(), command, "-tt")
		cmd.Env = append(os.Environ(), "TERM=xterm-256color")
		return converse(b, cmd)
	}
	p.startTmux(b)
	p.must(b, p.ssh(b.Context(), "tmux new-session -d -s echo '"+echoTTY+"'; dtach -n $HOME/echo sh -c '"+echoTTY+"'"))
	l := shell(echoTTY)
	l.StdinMode, l.TTY = banger.StdinPipe, true
	x, y := p.mustRun(b, l), p.mustRun(b, l)
	m := &measure{Name: "EchoTTY", Title: "A key's echo through a terminal", Place: p.name, Unit: "ns/op", Series: alternate(b, rounds,
		typist("banger", p.attach(b, x), enter),
		typist("banger-cli", converse(b, p.Command(b.Context(), "session", "attach", "v", string(y.ID))), enter),
		typist("ssh", tty(false, echoTTY), enter),
		typist("ssh-anew", tty(true, echoTTY), enter),
		typist("tmux", tty(false, "tmux attach -t echo"), enter),
		typist("dtach", tty(false, "dtach -a $HOME/echo -r none"), enter),
	)}
	m.judgeEcho("echo on a terminal")
	m.record(b)
}

func (m *measure) judgeEcho(what string) {
	m.atMost(what, m.of("banger", 0.5), m.least(0.5, "ssh", "ssh-anew"), 1.2)
	m.atMost(what+", p99", m.of("banger", 0.99), m.least(0.99, "ssh", "ssh-anew"), 1.2)
	m.atMost(what+", command line", m.of("banger-cli", 0.5), m.least(0.5, "ssh", "ssh-anew"), 1.2)
}

// enter follows a key on a terminal, so that no line is ever full.
const enter = "\r"

// typist types a key, and what follows it, at a conversation and reads on until the key
// comes back.
func typist(name string, at io.ReadWriter, then string) contender {
	answer := make([]byte, 64<<10)
	return contender{name: name, do: func(b *testing.B, n int) time.Duration {
		key := keys[n%len(keys)]
		return timed(b, func() error {
			if _, err := at.Write(append([]byte{key}, then...)); err != nil {
				return err
			}
			for {
				n, err := at.Read(answer)
				if err != nil || bytes.IndexByte(answer[:n], key) >= 0 {
					return err
				}
			}
		})
	}}
}

// pipes are a conversation with whatever is at their other ends.
type pipes struct {
	io.WriteCloser
	io.Reader
}

// converse starts a command and returns its standard streams. It ends with them.
func converse(b *testing.B, cmd *exec.Cmd) io.ReadWriter {
	b.Helper()
	in, _ := cmd.StdinPipe()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = cmd.Process.Kill() // a terminal's end of file is not an end of it
		_ = cmd.Wait()
	})
	return pipes{in, out}
}
