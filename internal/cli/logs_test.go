package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/google/go-cmp/cmp"

	"banger"
)

func pieces() []banger.LogChunk {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return []banger.LogChunk{
		{Stream: banger.StreamStdout, Time: at, Data: []byte("one\ntw\xe2\x82")},
		{Stream: banger.StreamStderr, Time: at, Data: []byte("\x1b[31mred\n")},
		{Stream: banger.StreamStdout, Time: at.Add(time.Second), Data: []byte("\xaco\r\nthree\xff")},
	}
}

func TestSessionLogs_AreByteExactIntoAPipe(t *testing.T) {
	r := (&fake{chunks: pieces()}).run(t, "", "session", "logs", "dev", "s")
	want := result{0, "one\ntw€o\r\nthree\xff", "\x1b[31mred\n"}
	if r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestSessionLogs_AreHarmlessOnATerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	var stderr bytes.Buffer
	c := CLI{Backend: &fake{chunks: pieces()}, Stdin: strings.NewReader(""), Stdout: slave, Stderr: &stderr}
	if status := c.Run(t.Context(), []string{"session", "logs", "dev", "s"}); status != 0 {
		t.Fatal(stderr.String())
	}
	slave.Close()
	got := readTerminal(t, master)
	// The terminal itself makes \r\n of \n.
	if want := "one\r\ntw€o\r\r\nthree\\xff"; got != want {
		t.Errorf("terminal got %q, want %q", got, want)
	}
	if stderr.String() != "\x1b[31mred\n" {
		t.Errorf("stderr, which is no terminal, got %q", stderr.String())
	}
}

// readTerminal reads what a terminal shows until its other side is closed,
// which Linux reports as an input error.
func readTerminal(t *testing.T, master *os.File) string {
	t.Helper()
	data, err := io.ReadAll(master)
	if err != nil && !strings.Contains(err.Error(), "input/output error") {
		t.Fatal(err)
	}
	return string(data)
}

func TestSessionLogs_TimestampsBeginLinesAndNothingElse(t *testing.T) {
	r := (&fake{chunks: pieces()}).run(t, "", "session", "logs", "dev", "s", "--timestamps")
	const first, second = "2026-01-02T03:04:05.000006Z ", "2026-01-02T03:04:06.000006Z "
	if want := first + "one\n" + first + "tw€o\r\n" + second + "three\xff"; r.stdout != want {
		t.Errorf("stdout %q, want %q", r.stdout, want)
	}
	if want := first + "\x1b[31mred\n"; r.stderr != want {
		t.Errorf("stderr %q, want %q", r.stderr, want)
	}
}

func TestSessionLogs_AskForTheRangeThatWasGiven(t *testing.T) {
	from := int64(7)
	for line, want := range map[string]banger.LogRequest{
		"":                            {Stream: banger.StreamBoth, Lines: banger.DefaultLogLines},
		"-n 0 -f":                     {Stream: banger.StreamBoth, Follow: true},
		"-n all --stream stderr":      {Stream: banger.StreamStderr, Lines: -1},
		"--from 7 --stream stdout -f": {Stream: banger.StreamStdout, Lines: banger.DefaultLogLines, From: &from, Follow: true},
	} {
		f := &fake{}
		f.must(t, append([]string{"session", "logs", "dev", "s"}, strings.Fields(line)...)...)
		if diff := cmp.Diff(want, f.logs); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
}

func TestSessionLogs_AskForTheTimeAndThePattern(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.Local)
	for line, want := range map[string]banger.LogRequest{
		"--since @1 --grep a.b":         {Stream: banger.StreamBoth, Lines: -1, Since: time.Unix(1, 0), Grep: "a.b"},
		"--until 2026-01-02 -f":         {Stream: banger.StreamBoth, Lines: -1, Until: day, Follow: true},
		"--grep x -n 7 --stream stderr": {Stream: banger.StreamStderr, Lines: 7, Grep: "x"},
	} {
		f := &fake{}
		f.must(t, append([]string{"session", "logs", "dev", "s"}, strings.Fields(line)...)...)
		if diff := cmp.Diff(want, f.logs); diff != "" {
			t.Errorf("%q: %s", line, diff)
		}
	}
	for _, line := range []string{"--since 1h -n 3", "--since 1h --from 3 --stream stdout", "--since yesterday", "--until -1h"} {
		if r := (&fake{}).run(t, "", append([]string{"session", "logs", "dev", "s"}, strings.Fields(line)...)...); r.status != exitUsage {
			t.Errorf("%q: %+v", line, r)
		}
	}
}

func TestSessionLogs_GrepEndsEveryLine(t *testing.T) {
	chunk := func(offset int64, data string) banger.LogChunk {
		return banger.LogChunk{Stream: banger.StreamStdout, Offset: offset, Data: []byte(data)}
	}
	// The second line is in two pieces, and the last one has no end.
	f := &fake{chunks: []banger.LogChunk{chunk(0, "one\n"), chunk(10, "tw"), chunk(12, "o"), chunk(20, "three")}}
	if out := f.must(t, "session", "logs", "dev", "s", "--grep", "x"); out != "one\ntwo\nthree\n" {
		t.Errorf("stdout %q", out)
	}
	if out := f.must(t, "session", "logs", "dev", "s"); out != "one\ntwothree" {
		t.Errorf("without --grep stdout is %q", out)
	}
}

func TestVMConsoleLog_IsByteExactIntoAPipe(t *testing.T) {
	if out := (&fake{}).must(t, "vm", "console-log", "dev"); out != "boot\r\n\x1b[31mred\xff" {
		t.Errorf("stdout %q", out)
	}
}
