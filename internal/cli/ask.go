package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"banger"
)

// maxQuestions bounds how often the user is asked for one thing.
const maxQuestions = 20

// askAll asks the user the questions that a request raises and repeats it with the
// answers. Without a terminal nobody is asked and the question is the error.
func (c *CLI) askAll(ctx context.Context, try func(context.Context, banger.RemoteAnswers) (banger.VM, error)) (banger.VM, error) {
	socket, err := agentSocket()
	if err != nil {
		return banger.VM{}, err
	}
	answers := banger.RemoteAnswers{Passphrases: map[string]string{}, AgentSocket: socket}
	for range maxQuestions {
		vm, err := try(ctx, answers)
		e, ok := errors.AsType[*banger.Error](err)
		if !ok || e.Code != banger.CodeQuestion || e.Question == nil || !isTerminal(c.Stdin) {
			return vm, err
		}
		if err := c.answer(ctx, *e.Question, &answers, err); err != nil {
			return vm, err
		}
	}
	return banger.VM{}, errors.New("cannot log in: too many questions")
}

// answer asks the user one question; refused is the error if the user declines.
func (c *CLI) answer(ctx context.Context, q banger.Question, answers *banger.RemoteAnswers, refused error) error {
	switch q.Kind {
	case banger.AskHostKey:
		fmt.Fprintf(c.Stderr, "The key of host %s is unknown:\n%s %s\nAccept it? (yes or no) ", safe(q.Subject), safe(q.KeyType), safe(q.Fingerprint))
		line, err := interruptible(ctx, func() (string, error) { return readLine(c.Stdin) })
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) != "yes" {
			return refused
		}
		answers.HostKeys = append(answers.HostKeys, q.Fingerprint)
		return nil
	case banger.AskPassphrase:
		if q.Again {
			fmt.Fprintln(c.Stderr, "Wrong passphrase.")
		}
		secret, err := c.readSecret(ctx, fmt.Sprintf("Passphrase of %s: ", safe(q.Subject)))
		fmt.Fprintln(c.Stderr)
		if err != nil {
			return err
		}
		if secret == "" {
			return refused
		}
		answers.Passphrases[q.Subject] = secret
		return nil
	}
	return refused
}

// readSecret asks for a line of the terminal without showing it. However it ends, the
// terminal is as it was: nothing but this function changes it.
func (c *CLI) readSecret(ctx context.Context, prompt string) (string, error) {
	fd := int(c.Stdin.(*os.File).Fd())
	saved, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	hidden := *saved
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return "", err
	}
	defer func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, saved) }()
	fmt.Fprint(c.Stderr, prompt)
	return interruptible(ctx, func() (string, error) { return readLine(c.Stdin) })
}

// interruptible returns what read does, or when ctx ends: then read is left to block,
// as the process is about to end.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		line string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		line, err := read()
		done <- result{line, err}
	}()
	select {
	case r := <-done:
		return r.line, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// readLine reads one short line, without its end, and nothing behind it.
func readLine(in io.Reader) (string, error) {
	line, err := bufio.NewReaderSize(io.LimitReader(in, 1024), 16).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimSuffix(line, "\n"), err
}

// agentSocket is that of the user's ssh-agent, "" without one. That of the daemon is
// of the command which happened to start it.
func agentSocket() (string, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return "", nil
	}
	return filepath.Abs(socket)
}
