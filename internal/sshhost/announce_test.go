package sshhost

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"banger"
)

const announced = "banger-control-XYZ"

func TestAnnouncement_WhatIsBehindItArrivesWhole(t *testing.T) {
	const rest = "{\"jsonrpc\":1}\n\x00\xff\r\n" + announced + "\nmore"
	long := strings.Repeat("x", 10<<10)
	for name, before := range map[string]string{
		"nothing":                "",
		"an empty line":          "\n",
		"noise":                  "welcome\n\x1b[2J\x00\n",
		"carriage returns":       "welcome\r\n",
		"a long line":            long + "\n",
		"almost too much":        strings.Repeat(long, maxPreamble/len(long)+1)[:maxPreamble-2-len(announced)] + "\n",
		"an announcement inside": "x" + announced + "\n" + announced + "x\n " + announced + "\n",
	} {
		for way, read := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
			"in halves":    iotest.HalfReader,
			"with its end": iotest.DataErrReader,
		} {
			behind, err := BehindAnnouncement(read(strings.NewReader(before+announced+"\n"+rest)), announced)
			if err != nil {
				t.Errorf("%s, %s: %v", name, way, err)
				continue
			}
			if got, err := io.ReadAll(behind); err != nil || string(got) != rest {
				t.Errorf("%s, %s: behind it is %q, %v", name, way, got, err)
			}
		}
	}
}

func TestAnnouncement_OfATerminalEndsWithCarriageReturn(t *testing.T) {
	behind, err := BehindAnnouncement(strings.NewReader("hello\r\n"+announced+"\r\nrest"), announced)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(behind); err != nil || string(got) != "rest" {
		t.Errorf("behind it is %q, %v", got, err)
	}
}

// counter counts what is read.
type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestAnnouncement_ThatDoesNotComeIsAnErrorWithWhatCame(t *testing.T) {
	noise := strings.Repeat("all work and no play\n", maxPreamble/10)
	for name, c := range map[string]struct{ out, shown string }{
		"an end at once":         {"", "nothing was said"},
		"an end":                 {"go away\n", `"go away"`},
		"an end within it":       {announced[:5], `"` + announced[:5] + `"`},
		"too much":               {noise, "all work"},
		"too much in one line":   {strings.Repeat("x", 2*maxPreamble), "xxx"},
		"one behind too much":    {noise[:maxPreamble] + "\n" + announced + "\n", "all work"},
		"one that is cut by it":  {strings.Repeat("\n", maxPreamble-3) + announced + "\n", "nothing was said"},
		"another one's":          {announced + "2\n", announced},
		"terminal control codes": {"\x1b[2J\n", `\x1b[2J`},
	} {
		in := &counter{Reader: strings.NewReader(c.out)}
		_, err := BehindAnnouncement(in, announced)
		if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), c.shown) {
			t.Errorf("%s: %v; want %q in it", name, err, c.shown)
			continue
		}
		if len(err.Error()) > 200+4*maxPreambleShown || in.n > maxPreamble {
			t.Errorf("%s: an error of %d bytes after %d were read", name, len(err.Error()), in.n)
		}
	}
}
