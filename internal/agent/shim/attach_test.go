package shim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/wait"
)

// attach opens an attachment that is closed when the test ends.
func (s *session) attach(a sessionstream.Attach) *sessionstream.Attachment {
	s.t.Helper()
	x, err := sessionstream.Open(s.t.Context(), s.config(a))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { x.Close() })
	return x
}

func viewer(from int64) sessionstream.Attach {
	return sessionstream.Attach{Role: sessionstream.RoleViewer, From: &banger.LogCursor{Stdout: from}}
}

func writer(id string) sessionstream.Attach {
	return sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: id, Client: id, From: &banger.LogCursor{}}
}

// until receives messages until is says so, and returns all output up to there.
func until(t *testing.T, a *sessionstream.Attachment, what string, is func(sessionstream.Message, output) bool) output {
	t.Helper()
	late := time.AfterFunc(patience, func() { a.Close() })
	defer late.Stop()
	out := output{}
	for {
		m, err := a.Receive()
		if err != nil {
			t.Fatalf("waited in vain for %s, got %.200q: %v", what, out, err)
		}
		out[m.Stream] += string(m.Data)
		if is(m, out) {
			return out
		}
	}
}

// output is what was received of each stream.
type output map[banger.Stream]string

func untilText(t *testing.T, a *sessionstream.Attachment, text string) {
	t.Helper()
	until(t, a, fmt.Sprintf("%q", text), func(_ sessionstream.Message, out output) bool {
		return strings.Contains(out[banger.StreamStdout], text)
	})
}

func isControl[C sessionstream.Control](m sessionstream.Message, _ output) bool {
	_, ok := m.Control.(C)
	return ok
}

func untilExit(t *testing.T, a *sessionstream.Attachment) (output, banger.SessionState) {
	t.Helper()
	var exit *sessionstream.Exit
	out := until(t, a, "the exit", func(m sessionstream.Message, _ output) bool {
		exit, _ = m.Control.(*sessionstream.Exit)
		return exit != nil
	})
	if _, err := a.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the exit: %v", err)
	}
	return out, exit.State
}

func TestViewer_GetsEveryByteFromAnyPositionWithoutASeam(t *testing.T) {
	s := sh(t, `i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo half >&2; read x; seq 3000; exit 3`, withPipe)
	s.waitForOutput("line 1500\n")
	viewers := map[int64]*sessionstream.Attachment{}
	for _, from := range []int64{0, 1, 777} {
		viewers[from] = s.attach(viewer(from))
	}
	s.waitForOutput("line 2999\n")
	s.mustSend(nil, "\n", false)
	var all string
	for from, v := range viewers {
		out, state := untilExit(t, v)
		if all == "" {
			all = s.stdout()
		}
		if out[banger.StreamStdout] != all[from:] || out[banger.StreamStderr] != "half\n" {
			t.Errorf("from %d: %d bytes of stdout and %q", from, len(out[banger.StreamStdout]), out[banger.StreamStderr])
		}
		if state.ExitCode == nil || *state.ExitCode != 3 || state.StdoutBytes != int64(len(all)) {
			t.Errorf("from %d: the exit is %+v", from, state)
		}
	}
}

func TestViewer_BeginsNowOrWithTheLastLines(t *testing.T) {
	s := sh(t, "seq 100; read x; echo there >&2; read x; echo more", withPipe)
	s.waitForOutput("100\n") // what is in two pipes at once has no order
	s.mustSend(nil, "\n", false)
	wait.For(t, "stderr", func() bool { return s.log("stderr.log") != "" })
	now := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer})
	tail := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer, Tail: new(3)})
	if at := now.Attached().Output; at == nil || at.Stdout != 292 || at.Stderr != 6 {
		t.Errorf("now is %+v", at)
	}
	s.mustSend(nil, "\n", false)
	if out, _ := untilExit(t, now); out[banger.StreamStdout] != "more\n" || out[banger.StreamStderr] != "" {
		t.Errorf("from now on: %q", out)
	}
	if out, _ := untilExit(t, tail); out[banger.StreamStdout] != "99\n100\nmore\n" || out[banger.StreamStderr] != "there\n" {
		t.Errorf("from three lines back: %q", out)
	}
}

func TestViewer_SeesBothStreamsInTheirOrder(t *testing.T) {
	s := sh(t, `while read x; do echo $x; read x; echo $x >&2; done`, withPipe)
	live := s.attach(viewer(0))
	var want strings.Builder
	for i := range 50 {
		for stream, name := range []string{sessiondir.StdoutName, sessiondir.StderrName} {
			line := fmt.Sprintf("%c%d\n", "oe"[stream], i)
			want.WriteString(line)
			s.mustSend(nil, line, false)
			wait.For(t, "the line "+line, func() bool { return strings.HasSuffix(s.log(name), line) })
		}
	}
	late := s.attach(viewer(0))
	s.mustSend(nil, "", true)
	for name, a := range map[string]*sessionstream.Attachment{"live": live, "replayed": late} {
		var mixed strings.Builder
		until(t, a, "the exit", func(m sessionstream.Message, _ output) bool {
			mixed.Write(m.Data)
			return isControl[*sessionstream.Exit](m, nil)
		})
		if mixed.String() != want.String() {
			t.Errorf("%s: the order is %.300q", name, mixed.String())
		}
	}
}

// The order last byte, exit, end is what every promise about the tail rests on.
func TestViewer_LastByteThenExitThenTheEnd(t *testing.T) {
	runs := 20
	if testing.Short() {
		runs = 4
	}
	for range runs {
		s := sh(t, "read x; seq 2000; echo last >&2", withPipe)
		var viewers []*sessionstream.Attachment
		for range 5 {
			viewers = append(viewers, s.attach(viewer(0)))
		}
		s.mustSend(nil, "\n", false)
		for _, v := range viewers {
			if out, _ := untilExit(t, v); len(out[banger.StreamStdout]) != 8893 || out[banger.StreamStderr] != "last\n" {
				t.Fatalf("before the exit came %d bytes and %q", len(out[banger.StreamStdout]), out[banger.StreamStderr])
			}
		}
		s.wait()
	}
}

func TestWriter_IsOneAndOthersAreToldWho(t *testing.T) {
	s := sh(t, "cat", withPipe)
	first := s.attach(writer("alice"))
	if g := first.Attached().Stdin; g == nil || g.Offset != 0 || g.EOF {
		t.Fatalf("granted %+v", g)
	}
	_, err := sessionstream.Open(t.Context(), s.config(writer("bob")))
	if codeOf(err) != sessionstream.CodeHeld || !strings.Contains(err.Error(), "alice") {
		t.Errorf("a second writer gets %v", err)
	}
	first.Detach()
	second := s.attach(writer("bob")) // at once
	fmt.Fprint(second, "hi")
	untilText(t, second, "hi")
}

func TestWriter_NextConnectionOfItsAttachmentGoesOnAtOnce(t *testing.T) {
	s := sh(t, "cat", withPipe)
	old := dialRaw(t, s)
	old.attachWriter("same")
	old.data([]byte("one "))
	old.wantAck(4)
	young := dialRaw(t, s) // while the old one still looks alive
	if g := young.attachWriter("same"); g.Offset != 4 {
		t.Errorf("granted %+v", g)
	}
	if e, ok := old.receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeReplaced {
		t.Errorf("the old connection is told %+v", e)
	}
	old.wantEnd()
	young.data([]byte("two"))
	young.wantAck(7)
	if got := s.waitForOutput("two"); got != "one two" {
		t.Errorf("the command read %q", got)
	}
}

func TestTakeover_FencesTheOldWriter(t *testing.T) {
	block, goOn := held(t)
	s := sh(t, block+"exec cat", withPipe)
	old := dialRaw(t, s)
	old.attachWriter("old")
	// The pipe takes 64 KiB of it, the rest waits in the shim.
	old.data(bytes.Repeat([]byte("a"), 100_000))
	wait.For(t, "the pipe to be full", func() bool { return s.stdinOffset() == 65536 })
	heir := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer, Client: "heir", From: &banger.LogCursor{}})
	heir.Takeover(sessionstream.Takeover{})
	var granted *sessionstream.Granted
	until(t, heir, "the grant", func(m sessionstream.Message, _ output) bool {
		granted, _ = m.Control.(*sessionstream.Granted)
		return granted != nil
	})
	if granted.Stdin.Offset != 65536 {
		t.Errorf("granted %+v", granted)
	}
	// What it still sends is dropped, the end of stdin and signals too.
	old.data(bytes.Repeat([]byte("b"), 1000))
	old.send(&sessionstream.EOF{})
	old.send(&sessionstream.Signal{Signal: "SIGKILL", To: sessionstream.ToGroup})
	old.send(&sessionstream.Ping{})
	by := ""
	for pong := false; !pong; {
		switch m := old.receive().(type) {
		case *sessionstream.Evicted:
			by = m.By
		case *sessionstream.StdinAck:
			if m.Offset != 65536 {
				t.Errorf("the old writer is told %+v", m)
			}
		case *sessionstream.Pong:
			pong = true
		}
	}
	if by != "heir" {
		t.Errorf("evicted by %q", by)
	}
	goOn()
	fmt.Fprint(heir, "c")
	if err := heir.CloseStdin(); err != nil {
		t.Fatal(err)
	}
	out, state := untilExit(t, heir)
	if want := strings.Repeat("a", 65536) + "c"; out[banger.StreamStdout] != want || state.ExitSignal != "" {
		t.Errorf("the command read %d bytes, ending %q; %+v", len(out[banger.StreamStdout]), out[banger.StreamStdout][65530:], state)
	}
}

func TestResume_OfAWriterThatWasReplacedIsAViewers(t *testing.T) {
	s := sh(t, "cat", withPipe)
	s.attach(writer("old")).Close()
	heir := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer, Client: "heir", AttachID: "heir"})
	heir.Takeover(sessionstream.Takeover{})
	until(t, heir, "the grant", isControl[*sessionstream.Granted])
	heir.Detach()
	old := dialRaw(t, s)
	old.send(&sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: "old", Resume: true})
	if m, ok := old.receive().(*sessionstream.Attached); !ok || m.Stdin != nil {
		t.Errorf("the old writer's next connection gets %+v", m)
	}
	old.data([]byte("of the old one"))
	old.send(&sessionstream.Ping{})
	if m, ok := old.receive().(*sessionstream.Evicted); !ok || m.By != "heir" {
		t.Errorf("the old writer is told %+v", m)
	}
	if m, ok := old.receive().(*sessionstream.Pong); !ok {
		t.Errorf("the old writer is told %+v", m)
	}
	// It may take its place back.
	old.send(&sessionstream.Takeover{})
	if m, ok := old.receive().(*sessionstream.Granted); !ok || m.Stdin.Offset != 0 {
		t.Errorf("the old writer is told %+v", m)
	}
}

func TestWriter_SignalsAreNotHeldUpByStdinThatNobodyReads(t *testing.T) {
	s := sh(t, `trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 1000 & wait $!; done`, withPipe)
	a := s.attach(writer("w"))
	untilText(t, a, "ready")
	data := make([]byte, a.Attached().Stdin.WindowBytes)
	if _, err := a.Write(data); err != nil {
		t.Fatal(err)
	}
	wait.For(t, "the pipe to be full", func() bool { return s.stdinOffset() == 65536 })
	if err := a.Signal("SIGINT", sessionstream.ToProcess); err != nil {
		t.Fatal(err)
	}
	out, state := untilExit(t, a)
	if out[banger.StreamStdout] != "interrupted\n" || state.ExitCode == nil || *state.ExitCode != 5 || state.StdinOffset != 65536 {
		t.Errorf("%q, %+v", out, state)
	}
}

func TestWriter_SignalReachesTheGroup(t *testing.T) {
	s := sh(t, `sleep 1000; echo never`, withPipe)
	// Until it is sleep, it is a shell that takes the signal to heart later.
	wait.For(t, "the child", func() bool { c := childrenOf(t, s.state.GuestPID); return len(c) == 1 && nameOf(c[0]) == "sleep" })
	a := s.attach(writer("w"))
	if err := a.Signal("SIGINT", sessionstream.ToGroup); err != nil {
		t.Fatal(err)
	}
	if _, state := untilExit(t, a); state.ExitSignal != "SIGINT" {
		t.Errorf("%+v", state)
	}
}

func TestWriter_SendsNoMoreThanTheWindow(t *testing.T) {
	s := sh(t, "exec sleep 1000", withPipe)
	c := dialRaw(t, s)
	g := c.attachWriter("w")
	for sent := int64(0); sent <= g.WindowBytes+65536; sent += 65536 {
		if c.w.WriteData(sessionstream.ChannelStdin, make([]byte, 65536)) != nil {
			break
		}
	}
	for {
		m := c.receive()
		if e, ok := m.(*sessionstream.Error); ok {
			if e.Code != sessionstream.CodeInvalid {
				t.Errorf("refused with %+v", e)
			}
			break
		}
	}
	if at := s.stdinOffset(); at > 65536 {
		t.Errorf("stdin stands at %d", at)
	}
}

func TestWriter_OfASessionWithoutStdinSignalsIt(t *testing.T) {
	s := sh(t, `sleep 1000`)
	a := s.attach(writer("w"))
	if g := a.Attached().Stdin; !g.EOF || g.Offset != 0 {
		t.Errorf("granted %+v", g)
	}
	if _, err := fmt.Fprint(a, "x"); codeOf(err) != sessionstream.CodeClosed {
		t.Errorf("a write: %v", err)
	}
	if err := a.Signal("SIGTERM", sessionstream.ToProcess); err != nil {
		t.Fatal(err)
	}
	if _, state := untilExit(t, a); state.ExitSignal != "SIGTERM" {
		t.Errorf("%+v", state)
	}
}

func TestTTY_HasTheWindowOfItsWriter(t *testing.T) {
	s := sh(t, `trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done`, withTTY)
	size := func(rows, cols uint16) *sessionstream.Window { return &sessionstream.Window{Rows: rows, Cols: cols} }
	w := writer("w")
	w.Window = size(30, 100)
	a := s.attach(w)
	untilText(t, a, "30 100\r\n")
	a.Resize(*size(31, 101))
	untilText(t, a, "31 101\r\n")
	viewing := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer})
	if got := viewing.Attached().Terminal.Window; got != *size(31, 101) {
		t.Errorf("a viewer is told %+v", got)
	}
	viewing.Takeover(sessionstream.Takeover{Window: size(20, 60)})
	untilText(t, viewing, "20 60\r\n")
}

func TestTTY_ModesAreToldToWhoAttaches(t *testing.T) {
	s := sh(t, `printf '\033[?1049h\033[?25l\033[?1;2004h\033=\033[?9999h\033]0;\033[?2026h\007\033[?1'; read x; printf '006h\033[?2004l'; echo done; read x`, withTTY)
	s.waitForOutput("\x1b[?1")
	modes := func() (map[int]bool, bool) {
		a := s.attach(sessionstream.Attach{Role: sessionstream.RoleViewer})
		defer a.Detach()
		return a.Attached().Terminal.Modes, a.Attached().Terminal.Keypad
	}
	wait.For(t, "the modes", func() bool {
		got, keypad := modes()
		return keypad && fmt.Sprint(got) == "map[1:true 25:false 1049:true 2004:true]"
	})
	s.mustSend(nil, "\n", false)
	s.waitForOutput("done")
	if got, _ := modes(); fmt.Sprint(got) != "map[1:true 25:false 1006:true 1049:true]" {
		t.Errorf("a sequence in two parts: %v", got)
	}
}

// childrenOf lists the children of a process of one thread; proc(5).
// nameOf returns the name of the program that a process runs; proc(5), /proc/PID/comm.
func nameOf(pid int) string {
	name, _ := os.ReadFile("/proc/" + itoa(pid) + "/comm")
	return strings.TrimSpace(string(name))
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Fatal(err)
	}
	return pids(t, string(data))
}
