package remote

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
)

// Login shells differ in how they read a command line: in ours there is nothing to differ in.
func TestCommandLine_IsTheSameScriptInEveryLoginShell(t *testing.T) {
	script := "printf '%s|' \"a!b\" 'c\\\\d' 'it'\"'\"'s' \"$((1 + 1))\" 50% é\n# a comment's end\n" + strings.Repeat("true\n", 400) + "echo end"
	const want = `a!b|c\\d|it's|2|50%|é|end` + "\n"
	for _, shell := range [][]string{
		{"/bin/sh"}, {"bash"}, {"bash", "--posix"}, {"dash"}, {"busybox", "sh"}, {"zsh"}, {"tcsh"}, {"fish"},
	} {
		cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", commandLine(script))...)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%q: %q, %v, want %q", shell, out, err, want)
		}
	}
}

// What a script says ends with our mark, whoever continues to hold the stream.
func TestSaying_EndsWithTheMark(t *testing.T) {
	for way, size := range map[string]int{"at once": 1 << 20, "byte by byte": 1, "in threes": 3} {
		s := newSaying("M")
		text := []byte("welcome\nM\nx M begin\r\nM begin\r\nhello\nM endless\n\nbye\nM end 0\r\nnoise of others\nM end 7\nM end \nM end \n")
		for part := range chunks(text, size) {
			if n, err := s.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		<-s.end
		out, err := s.result(nil)
		if err != nil || string(out) != "hello\nM endless\n\nbye\n" {
			t.Errorf("%s: %q, %v", way, out, err)
		}
	}
}

func chunks(text []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(text) > 0 && yield(text[:min(size, len(text))]) {
			text = text[min(size, len(text)):]
		}
	}
}

// The hint is about the cause that was seen.
func TestSaying_ErrorsNameWhatWasSeen(t *testing.T) {
	lost := errors.New("connection lost")
	for name, c := range map[string]struct {
		said        string
		cause       error
		words, hint string
	}{
		"a failure":           {"M begin\nno such thing\nM end 3\n", nil, `status 3; it says "no such thing"`, ""},
		"an early end":        {"M begin\nhello\n", nil, "ended early", ""},
		"too slow":            {"M begin\nhello\n", errNoAnswer, "not ended within", ""},
		"a forced command":    {"go away\n", nil, `something else instead; it says "go away"`, "ForceCommand"},
		"a status":            {"not available\n", &ssh.ExitError{}, `it says "not available"`, "nologin"},
		"a shell that waits":  {"% ", errNoAnswer, "has not run a command within", "exec zsh"},
		"a connection's end":  {"", lost, "connection lost", ""},
		"ends of no status":   {"M begin\nM end \nM end \n", nil, "ended early", ""},
		"a mark of somebody":  {"zsh: command not found: M end 0\n", errNoAnswer, "has not run a command", "exec zsh"},
		"too much is bounded": {strings.Repeat("all work and no play\n", 1<<16), nil, "all work", "ForceCommand"},
	} {
		s := newSaying("M")
		_, _ = s.Write([]byte(c.said))
		_, err := s.result(c.cause)
		hint := ""
		if e, ok := errors.AsType[*banger.Error](err); ok {
			hint = e.Hint
		}
		if err == nil || !strings.Contains(err.Error(), c.words) || !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" || len(err.Error()) > 1000 {
			t.Errorf("%s: %v (%s)", name, err, hint)
		}
	}
}

func TestUpload_HintIsAboutSpaceOnlyWhereSpaceIsMissing(t *testing.T) {
	for why, about := range map[string]bool{"cat: write error: No space left on device": true, "Disk quota exceeded": true, "Permission denied": false, "connection lost": false} {
		if got := strings.Contains(uploadHint(why), "free some space"); got != about {
			t.Errorf("%s: %q", why, uploadHint(why))
		}
	}
}

func TestUpload_HintIsAboutLimitsWhereTheAgentCannotStart(t *testing.T) {
	const why = `in /tmp: status 2; it says "fatal error: failed to reserve page summary memory\n\nruntime stack"`
	if got := uploadHint(why); !strings.Contains(got, "ulimit -a") {
		t.Errorf("%q", got)
	}
}

// A login may say without end: what is kept of it is bounded.
func TestSaying_IsBounded(t *testing.T) {
	s := newSaying("M")
	_, _ = s.Write([]byte("M begin\n"))
	line := append(bytes.Repeat([]byte("x"), maxCommandSays/4), '\n')
	for range 16 {
		_, _ = s.Write(line)
	}
	_, _ = s.Write([]byte("M end 0\n"))
	out, err := s.result(nil)
	if err != nil || len(out) > maxCommandSays || len(out) == 0 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}
