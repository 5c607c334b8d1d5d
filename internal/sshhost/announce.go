package sshhost

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"banger"
)

// linesForReaders are what is sent before our own beginning. A start-up file that reads
// stdin gets as many lines; each else would take one of ours.
const linesForReaders = 8

// Beginning is what to send first to a command that waits for a line on stdin, behind
// whatever a start-up file reads.
func Beginning(line string) string { return strings.Repeat("\n", linesForReaders) + line + "\n" }

// Limits of what a login shell may print before a command begins, and of what is shown of it.
const (
	maxPreamble      = 1 << 20
	maxPreambleShown = 200
)

// BehindAnnouncement returns what out has behind a line. It reads until that comes, or out
// ends: whoever has a limit closes it.
func BehindAnnouncement(out io.Reader, line string) (io.Reader, error) {
	limited := &io.LimitedReader{R: out, N: maxPreamble}
	lines := bufio.NewReaderSize(limited, 4<<10)
	var before []byte
	for {
		text, err := lines.ReadSlice('\n')
		if string(bytes.TrimRight(text, "\r\n")) == line {
			buffered, _ := lines.Peek(lines.Buffered())
			return io.MultiReader(bytes.NewReader(bytes.Clone(buffered)), out), nil
		}
		before = append(before, text[:min(len(text), maxPreambleShown-len(before))]...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, notAnnounced(before)
		}
	}
}

// notAnnounced is the error of a command that has not begun, with what came instead.
func notAnnounced(before []byte) error {
	what := "nothing was said"
	if before = bytes.TrimSpace(before); len(before) > 0 {
		what = fmt.Sprintf("what was said is %q", before)
	}
	return banger.Errorf(banger.CodeUnavailable, "the login shell has not run the command that it was given; %s", what).
		WithHint("%s", ShellHint)
}

// ShellHint says what keeps a login shell from running a command.
const ShellHint = "a start-up file of the login shell (.bashrc, .zshenv, .cshrc) may start another shell (exec zsh), end the login, or wait for input; " +
	"see whether this ends by itself, with nothing but a word: ssh HOST echo works"
