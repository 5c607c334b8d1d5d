package shim_test

import (
	"strings"
	"testing"

	"banger"
	"banger/sessionstream"
)

// shown is a terminal's answer as od -c shows it.
const (
	shownDA1   = "033[?62;22c"
	shownFlags = "033[?5u"
)

func TestTTY_WhoAsksWhileNobodyIsThereIsAnswered(t *testing.T) {
	s := sh(t, `stty raw -echo; printf '\033[>5u\033['; printf 'c\033[?u'; dd bs=1 count=14 2>/dev/null | od -An -c | tr -d ' \r\n'; echo; exec sleep 1000`, withTTY)
	s.attach(viewer(0)) // who only looks on answers nothing
	s.waitForOutput(shownDA1 + shownFlags)
	if got := s.stdinOffset(); got != 0 {
		t.Errorf("answers count as %d bytes of somebody's stdin", got)
	}
}

func TestTTY_WhoAsksWhereTheCursorIsIsAnswered(t *testing.T) {
	s := sh(t, `stty raw -echo; printf '\033[2J\033[3;5Hxy\033[6n\033[10;1H\033[?6n'; dd bs=1 count=14 2>/dev/null | od -An -c | tr -d ' \r\n'; echo; exec sleep 1000`, withTTY)
	s.waitForOutput("033[3;7R033[?10;1R")
}

func TestTTY_AnAnswerIsNotTypedIntoALine(t *testing.T) {
	s := sh(t, `printf '\033[c\033[5n'; read x; echo "got <$x>"; exec sleep 1000`, withTTY)
	s.mustSend(nil, "hi\n", false)
	s.waitForOutput("got <hi>")
}

func TestTTY_WhoHasATerminalAnswersAndNobodyElse(t *testing.T) {
	s := sh(t, `stty raw -echo; printf 'old\033[c'; dd bs=1 count=9 >/dev/null 2>&1; printf 'ready\033['
		dd bs=1 count=1 >/dev/null 2>&1; printf 'c'; dd bs=1 count=1 2>/dev/null; echo answered
		dd bs=1 count=1 >/dev/null 2>&1; printf '\033[c'; dd bs=1 count=9 2>/dev/null | od -An -c | tr -d ' \r\n'; echo; exec sleep 1000`, withTTY)
	s.waitForOutput("ready\x1b[")
	w := writer("w")
	w.From, w.Window = nil, &sessionstream.Window{Rows: 24, Cols: 80}
	a := s.attach(w)
	// The question was begun before and is completed now: it is this terminal's, all of it.
	if got := a.Attached().Output.Stdout; got != int64(len("old\x1b[cready")) {
		t.Errorf("the output begins at %d", got)
	}
	live := int64(-1)
	seen := until(t, a, "the position from which on this terminal answers", func(m sessionstream.Message, _ output) bool {
		if c, ok := m.Control.(*sessionstream.Live); ok {
			live = c.Stdout
		}
		return live >= 0
	})
	if got := a.Attached().Output.Stdout; live != got || seen[banger.StreamStdout] != "" {
		t.Errorf("it answers from %d on, behind %q; the output begins at %d", live, seen, got)
	}
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	untilText(t, a, "\x1b[c")
	if _, err := a.Write([]byte("A")); err != nil {
		t.Fatal(err)
	}
	untilText(t, a, "Aanswered")
	a.Detach()
	for err := error(nil); err == nil; { // to the end, which is when it has been left
		_, err = a.Receive()
	}
	s.mustSend(nil, "y", false)
	s.waitForOutput(shownDA1)
}

func TestTTY_ALostConnectionLeavesItsQuestionsToTheNext(t *testing.T) {
	s := sh(t, `stty raw -echo; printf ready; dd bs=1 count=1 >/dev/null 2>&1; printf '\033[c'; dd bs=1 count=1 2>/dev/null; exec sleep 1000`, withTTY)
	s.waitForOutput("ready")
	w := writer("w")
	w.Window = &sessionstream.Window{Rows: 24, Cols: 80}
	a := s.attach(w)
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, a, "the byte to be taken", isControl[*sessionstream.StdinAck])
	a.Close() // without a word: it may come back
	s.waitForOutput("\x1b[c")
	w.Resume, w.From = true, &banger.LogCursor{Stdout: 5}
	again := s.attach(w)
	var live *sessionstream.Live
	until(t, again, "the question", func(m sessionstream.Message, out output) bool {
		if c, ok := m.Control.(*sessionstream.Live); ok {
			live = c
		}
		return strings.Contains(out[banger.StreamStdout], "\x1b[c")
	})
	if live == nil || live.Stdout > 5 {
		t.Errorf("from %+v on it answers: not what was asked meanwhile", live)
	}
	if _, err := again.Write([]byte("A")); err != nil {
		t.Fatal(err)
	}
	s.waitForOutput("\x1b[cA")
}
