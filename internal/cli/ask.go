package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"banger"
)

// maxQuestions bounds how often the user is asked for one thing.
const maxQuestions = 20

// askAll repeats what has questions for the user, with the answers. Where there is
// no terminal nobody is asked: the question is the error.
func (c *CLI) askAll(ctx context.Context, try func(context.Context, banger.RemoteAnswers) (banger.VM, error)) (banger.VM, error) {
	answers := banger.RemoteAnswers{Passphrases: map[string]string{}}
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
	return banger.VM{}, errors.New("cannot go on: there are too many questions")
}

// answer asks the user one question. refused is the error of who does not answer.
func (c *CLI) answer(ctx context.Context, q banger.Question, answers *banger.RemoteAnswers, refused error) error {
	switch q.Kind {
	case banger.AskHostKey:
		fmt.Fprintf(c.Stderr, "The key of host %s is not known:\n%s %s\nIs it the host's? (yes or no) ", safe(q.Subject), safe(q.KeyType), safe(q.Fingerprint))
		line, err := interruptible(ctx, func() (string, error) { return readLine(c.Stdin) })
		if err != nil {
			return err
		}
		if line != "yes" {
			return refused
		}
		answers.HostKeys = append(answers.HostKeys, q.Fingerprint)
		return nil
	case banger.AskPassphrase:
		if q.Again {
			fmt.Fprintln(c.Stderr, "That is not its passphrase.")
		}
		fmt.Fprintf(c.Stderr, "Passphrase of %s: ", safe(q.Subject))
		secret, err := c.readSecret(ctx)
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

// readSecret reads a line from the terminal without showing it. However it ends, the
// terminal is as it was.
func (c *CLI) readSecret(ctx context.Context) (string, error) {
	fd := int(c.Stdin.(*os.File).Fd())
	saved, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, saved) }()
	return interruptible(ctx, func() (string, error) {
		line, err := term.ReadPassword(fd)
		return string(line), err
	})
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
	return strings.TrimSpace(line), err
}
