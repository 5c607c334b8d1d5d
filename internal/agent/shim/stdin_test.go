package shim_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
	"banger/sessionstream"
	"banger/test/wait"
)

func TestStdin_ArrivesByteForByteWithARealEnd(t *testing.T) {
	s := sh(t, "cat", withPipe)
	data := make([]byte, 1<<20)
	rand.Read(data)
	const part = 100_000
	for at := int64(0); at < int64(len(data)); at += part {
		piece := data[at:min(at+part, int64(len(data)))]
		if r := s.mustSend(&at, string(piece), false); r.Offset != at+int64(len(piece)) || r.EOF {
			t.Fatalf("accepted %+v", r)
		}
	}
	if r := s.mustSend(ptr(int64(len(data))), "", true); !r.EOF {
		t.Fatalf("accepted %+v", r)
	}
	final := s.wait()
	if final.Status != banger.StatusExited || final.StdinOffset != int64(len(data)) || !final.StdinEOF {
		t.Errorf("ended as %+v", final)
	}
	if !bytes.Equal([]byte(s.stdout()), data) {
		t.Error("what came out is not what went in")
	}
}

func TestStdin_OneWriteMayBeLargerThanAFrame(t *testing.T) {
	s := sh(t, "cat", withPipe)
	data := make([]byte, 1<<20)
	rand.Read(data)
	s.mustSend(nil, string(data), true)
	s.wait()
	if !bytes.Equal([]byte(s.stdout()), data) {
		t.Error("what came out is not what went in")
	}
}

func TestStdin_ARetryFeedsNothingTwice(t *testing.T) {
	s := sh(t, "cat; exec sleep 1000", withPipe)
	s.mustSend(ptr(int64(0)), "one ", false)
	s.mustSend(ptr(int64(0)), "one ", false)
	if r := s.mustSend(ptr(int64(2)), "e two", false); r.Offset != 7 {
		t.Errorf("accepted %+v", r)
	}
	s.mustSend(ptr(int64(7)), " end", true)
	if r := s.mustSend(ptr(int64(7)), " end", true); r.Offset != 11 || !r.EOF {
		t.Errorf("a retry of the end gives %+v", r)
	}
	s.waitForOutput("end")
	if got := s.stdout(); got != "one two end" {
		t.Errorf("the command read %q", got)
	}
}

func TestStdin_AGapIsRefusedWithTheRightOffset(t *testing.T) {
	s := sh(t, "cat", withPipe)
	s.mustSend(nil, "12345", false)
	if r, err := s.send(ptr(int64(9)), "x", false); codeOf(err) != sessionstream.CodeOffset || r.Offset != 5 || r.EOF {
		t.Errorf("data above: %+v, %v", r, err)
	}
	for name, at := range map[string]int64{"above": 9, "below": 3} {
		c := dialRaw(t, s)
		c.attachWriter("raw")
		c.send(&sessionstream.EOF{Offset: &at})
		if e, ok := c.receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeOffset || *e.Offset != 5 {
			t.Errorf("an end of file %s: %+v", name, e)
		}
		c.wantEnd()
	}
	s.mustSend(nil, "", true)
	s.wait()
	if got := s.stdout(); got != "12345" {
		t.Errorf("the command read %q", got)
	}
}

func TestStdin_ThatIsClosedTakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		offset int64
	}{
		"by the command":    {"exec <&-; echo closed; exec sleep 1000", 0},
		"by an end of file": {"cat; echo closed; exec sleep 1000", 4},
	} {
		t.Run(name, func(t *testing.T) {
			s := sh(t, c.script, withPipe)
			if c.offset > 0 {
				s.mustSend(nil, "abc\n", true)
			}
			s.waitForOutput("closed")
			r, err := s.send(nil, "more", false)
			if codeOf(err) != sessionstream.CodeClosed || r.Offset != c.offset || !r.EOF {
				t.Errorf("%+v, %v", r, err)
			}
			wait.For(t, "the state to say so", func() bool { return s.stateOnDisk().StdinEOF })
		})
	}
	t.Run("from the start", func(t *testing.T) {
		s := sh(t, "exec sleep 1000")
		if r, err := s.send(nil, "x", false); codeOf(err) != sessionstream.CodeClosed || r.Offset != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestStdin_AWriteThatIsGivenUpIsCutExactly(t *testing.T) {
	block, goOn := held(t)
	s := sh(t, block+"exec cat", withPipe)
	data := make([]byte, 200_000) // more than a pipe holds
	rand.Read(data)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		r      banger.SendResult
		err    error
		giving sync.WaitGroup
	)
	giving.Go(func() { r, err = s.feed(ctx, nil, string(data), true) })
	wait.For(t, "the pipe to be full", func() bool { return s.stdinOffset() == 65536 })
	cancel()
	giving.Wait()
	if !errors.Is(err, context.Canceled) || r.Offset == 0 || r.Offset >= int64(len(data)) || r.EOF {
		t.Fatalf("accepted %+v, %v", r, err)
	}
	if at := s.stdinOffset(); at != r.Offset {
		t.Errorf("was told %d, but stdin stands at %d", r.Offset, at)
	}
	// With the rest sent from there, nothing is missing and nothing twice.
	goOn()
	s.mustSend(&r.Offset, string(data[r.Offset:]), true)
	s.wait()
	if !bytes.Equal([]byte(s.stdout()), data) {
		t.Error("what came out is not what went in")
	}
}

func TestStdin_AClientThatDiesWhileBlockedLosesNothingThatWasAccepted(t *testing.T) {
	s := sh(t, "exec sleep 1000", withPipe)
	conn := dialRaw(t, s)
	conn.attachWriter("first")
	conn.data(bytes.Repeat([]byte("x"), 200_000))
	wait.For(t, "the pipe to be full", func() bool { return s.stdinOffset() == 65536 })
	conn.net.Close()
	// Its next connection is told the exact position.
	again := dialRaw(t, s)
	if g := again.attachWriter("first"); g.Offset != 65536 {
		t.Errorf("stdin stands at %d", g.Offset)
	}
}

func TestStdin_IsInTheJournal(t *testing.T) {
	s := sh(t, "cat >/dev/null", withPipe)
	s.mustSend(nil, "hello", false)
	s.mustSend(nil, "", true)
	s.wait()
	// Package sessiondir describes the bytes.
	records := []byte(s.log(sessiondir.JournalName))[48:]
	next := func() (kind byte, length uint64) {
		kind = records[0]
		_, n := binary.Uvarint(records[1:])
		length, m := binary.Uvarint(records[1+n:])
		records = records[1+n+m:]
		return kind, length
	}
	if kind, length := next(); kind != 3 || length != 5 {
		t.Errorf("the first record is of kind %d and length %d", kind, length)
	}
	if kind, length := next(); kind != 4 || length != 0 || len(records) != 0 {
		t.Errorf("the second record is of kind %d and length %d", kind, length)
	}
}

func TestStdin_SendersAreNotMixed(t *testing.T) {
	s := sh(t, "cat", withPipe)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 10 {
				line := strings.Repeat(string(rune('a'+i)), 5000) + "\n"
				_, err := s.send(nil, line, false)
				for codeOf(err) == sessionstream.CodeHeld {
					_, err = s.send(nil, line, false)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	s.mustSend(nil, "", true)
	s.wait()
	lines := strings.Split(strings.TrimSuffix(s.stdout(), "\n"), "\n")
	if len(lines) != 80 {
		t.Fatalf("%d lines arrived", len(lines))
	}
	for _, line := range lines {
		if len(line) != 5000 || strings.Count(line, line[:1]) != 5000 {
			t.Fatalf("lines are mixed: %.50q", line)
		}
	}
}

// lateEnd is data whose end is known only when the session has ended.
type lateEnd struct {
	data  io.Reader
	ended <-chan struct{}
}

func (l *lateEnd) Read(p []byte) (int, error) {
	if n, err := l.data.Read(p); n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	<-l.ended
	return 0, io.EOF
}

// What is accepted is not refused because the command ends of it before the sender
// has looked whether there is more.
func TestStdin_AcceptedBeforeTheEndIsAccepted(t *testing.T) {
	for _, eof := range []bool{false, true} {
		s := sh(t, "read x; exit 0", withPipe)
		ended := make(chan struct{})
		go func() { err := <-s.ended; s.ended <- err; close(ended) }()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		sent, err := sessionstream.Feed(ctx, s.config(sessionstream.Attach{Role: sessionstream.RoleWriter, NoOutput: true}), nil,
			&lateEnd{strings.NewReader("all\n"), ended}, eof)
		cancel()
		if err != nil || sent.Offset != 4 || !sent.EOF {
			t.Errorf("eof %t: %+v, %v", eof, sent, err)
		}
	}
}

func TestStdin_OfASessionThatEndsIsRefused(t *testing.T) {
	s := sh(t, "sleep 1000", withPipe)
	done := make(chan error, 1)
	go func() {
		_, err := s.send(nil, strings.Repeat("x", 200_000), false)
		done <- err
	}()
	wait.For(t, "the pipe to be full", func() bool { return s.stdinOffset() == 65536 })
	s.stop(0)
	select {
	case err := <-done:
		if codeOf(err) != sessionstream.CodeClosed {
			t.Errorf("the write ends with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the write does not end")
	}
	if final := s.wait(); final.StdinOffset != 65536 {
		t.Errorf("ended as %+v", final)
	}
}

func TestTTY_IsATerminalOfUsualSizeAndOneStream(t *testing.T) {
	s := sh(t, "tty; stty size; echo err >&2; read x; echo got $x", withTTY)
	s.mustSend(nil, "hello\n", false)
	s.wait()
	out := s.stdout()
	for _, want := range []string{"/dev/pts/", "24 80\r\n", "err\r\n", "hello\r\n", "got hello\r\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the output %q", want, out)
		}
	}
	if s.hasFile("stderr.log") {
		t.Error("there is a log of stderr")
	}
}

func TestTTY_EndOfFileEndsAReader(t *testing.T) {
	for name, typed := range map[string]string{"after a line": "line\n", "within a line": "part", "at once": ""} {
		t.Run(name, func(t *testing.T) {
			s := sh(t, "cat", withTTY)
			r := s.mustSend(nil, typed, true)
			if !r.EOF || r.Offset != int64(len(typed)) {
				t.Errorf("accepted %+v", r)
			}
			if final := s.wait(); final.Status != banger.StatusExited {
				t.Errorf("ended as %+v", final)
			}
		})
	}
}

// A terminal in line mode drops what it cannot hold of a line, and says nothing to who
// writes: so that is refused, however many sends have made the line.
func TestTTY_OfALineNoMoreIsAcceptedThanTheTerminalHolds(t *testing.T) {
	s := sh(t, `stty -echo; echo ready; read x; echo "line $x"; read y; stty raw; echo raw; head -c 9000 | wc -c`, withTTY)
	s.waitForOutput("ready")
	s.mustSend(nil, strings.Repeat("k", 3000), false)
	r, err := s.send(nil, strings.Repeat("l", 3000), false)
	if codeOf(err) != sessionstream.CodeLine || r.Offset != 4095 {
		t.Fatalf("of a line of 6000 bytes were accepted %+v, %v", r, err)
	}
	if r, err := s.send(nil, "x", false); codeOf(err) != sessionstream.CodeLine || r.Offset != 4095 {
		t.Errorf("then %+v, %v", r, err)
	}
	s.mustSend(nil, "\n", false) // the line is what was accepted
	s.waitForOutput("line " + strings.Repeat("k", 3000) + strings.Repeat("l", 1095) + "\r\n")
	s.mustSend(nil, "\n", false)
	s.waitForOutput("raw")
	if r := s.mustSend(nil, strings.Repeat("m", 9000), false); r.Offset != 4097+9000 {
		t.Errorf("of a terminal in raw mode were accepted %+v", r)
	}
	s.waitForOutput("9000")
}

// A keyboard's user hears the bell of a terminal that drops something.
func TestTTY_ARawLineIsAcceptedThoughTheTerminalDropsIt(t *testing.T) {
	s := sh(t, `stty -echo; echo ready; read x; echo "line ${#x}"`, withTTY)
	s.waitForOutput("ready")
	c := s.config(sessionstream.Attach{Role: sessionstream.RoleWriter, NoOutput: true, RawLine: true})
	r, err := sessionstream.Feed(t.Context(), c, nil, strings.NewReader(strings.Repeat("k", 6000)+"\n"), false)
	if err != nil || r.Offset != 6001 {
		t.Errorf("accepted %+v, %v", r, err)
	}
	s.waitForOutput("line 4095")
}

func TestTTY_RawModeHasNoEndOfFile(t *testing.T) {
	s := sh(t, "stty raw; echo ready; cat", withTTY)
	s.waitForOutput("ready")
	if r, err := s.send(nil, "", true); err == nil || r.EOF || !strings.Contains(err.Error(), "raw") {
		t.Errorf("accepted %+v, %v", r, err)
	}
}

func TestTTY_InterruptCharacterReachesTheCommand(t *testing.T) {
	s := sh(t, "echo ready; exec sleep 1000", withTTY)
	s.waitForOutput("ready")
	s.mustSend(nil, "\x03", false)
	if final := s.wait(); final.ExitSignal != "SIGINT" || final.EndedBy != banger.EndedBySignal {
		t.Errorf("ended as %+v", final)
	}
}
