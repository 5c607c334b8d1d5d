package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/process"
	"banger/internal/sshhost"
)

// Limits of a command on a host.
const (
	commandTimeout = time.Minute // for a login shell to run one that does not take long itself
	maxCommandSays = 64 << 10
	maxLine        = 8 << 10  // of what it says; the rest of a longer line is passed over
	maxNoise       = 16 << 10 // of what the login says beside it
	maxShown       = 200      // bytes of what a host said, in an error
	maxWord        = 500      // of a command line: csh has little room for one
)

// commandLine has any login shell give a script to /bin/sh: nothing but words that are
// quoted in the same way in all shells, without stdin, and without a word that could be an alias.
func commandLine(script string) string {
	var line, word strings.Builder
	line.WriteString(`/bin/sh -c 'eval "$(printf %b "$@")"' sh`)
	flush := func() {
		fmt.Fprintf(&line, " '%s'", word.String())
		word.Reset()
	}
	for i := range len(script) {
		if c := script[i]; c < ' ' || c >= 0x7f || strings.IndexByte(`'\!`, c) >= 0 {
			fmt.Fprintf(&word, `\0%03o`, c)
		} else {
			word.WriteByte(c)
		}
		if word.Len() >= maxWord {
			flush()
		}
	}
	flush()
	return line.String()
}

// usualPath has a script find its commands where the login's PATH does not lead to them. What
// a session gets is the login's.
const usualPath = `PATH="$PATH:/usr/local/bin:/usr/bin:/bin"; `

// run has the host's /bin/sh run a script, and returns what that printed on both streams.
// Its stdin is data, or empty. It ends with the script, which prints a mark of ours at its
// end: others that the login has started may hold the streams open for ever.
func run(ctx context.Context, client *ssh.Client, script string, data io.Reader) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	mark := "banger-" + rand.Text()
	takeStdin := ""
	if data != nil {
		takeStdin = `while read -r line && [ "$line" != "$mark" ]; do :; done; `
		data = io.MultiReader(strings.NewReader(sshhost.Beginning(mark)), data)
	}
	whole := fmt.Sprintf(usualPath+"mark=%s; %s( exec 2>&1; echo; echo \"$mark begin\"\n%s\n); ended=$?; echo; echo \"$mark end $ended\"", mark, takeStdin, script)
	said := newSaying(mark)
	var ended <-chan error
	session, err := begin(ctx, client, func(session *ssh.Session) (err error) {
		ended, err = start(ctx, session, commandLine(whole), data, said)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	select {
	case <-said.end:
		return said.result(nil)
	case err := <-ended:
		return said.result(err)
	case <-ctx.Done():
		return said.result(context.Cause(ctx))
	}
}

// beginTries is how often a command is begun whose channel the server has closed instead of
// an answer: dropbear 2022.83 does so now and then where another has just been closed.
const beginTries = 5

// begin opens a channel in which start starts a command. One that was not started, because
// its channel was closed and the connection was not, is started in another one.
func begin(ctx context.Context, client *ssh.Client, start func(*ssh.Session) error) (*ssh.Session, error) {
	for try := 1; ; try++ {
		session, err := open(ctx, client)
		if err != nil {
			return nil, fmt.Errorf("cannot open a channel: %w", err)
		}
		if err = start(session); err == nil {
			return session, nil
		}
		session.Close()
		if !errors.Is(err, io.EOF) || try == beginTries {
			return nil, err
		}
	}
}

// open opens a session channel. If ctx ends before the server has answered, what it answers
// then is closed.
func open(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	type result struct {
		session *ssh.Session
		err     error
	}
	done := make(chan result, 1)
	go func() { // ends with the connection at the latest
		session, err := sshhost.NewSession(ctx, client)
		done <- result{session, err}
	}()
	select {
	case r := <-done:
		return r.session, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				r.session.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// start starts a command, and reports when both its streams and it have ended. What it starts
// ends with the session, or with the connection if the server never closes that.
func start(ctx context.Context, session *ssh.Session, command string, data io.Reader, said *saying) (<-chan error, error) {
	stop := context.AfterFunc(ctx, func() { session.Close() })
	defer stop()
	stdin, err1 := session.StdinPipe()
	stdout, err2 := session.StdoutPipe()
	stderr, err3 := session.StderrPipe()
	if err := errors.Join(err1, err2, err3, session.Start(command)); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("cannot run a command: %w", err)
	}
	go func() {
		if data != nil {
			_, _ = io.Copy(stdin, data) // what does not arrive is missed there
		}
		stdin.Close()
	}()
	ended := make(chan error, 1)
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(said, stdout) })
	reading.Go(func() { _, _ = io.Copy(&said.noise, stderr) })
	go func() {
		reading.Wait()
		ended <- session.Wait()
	}()
	return ended, nil
}

// saying is what a command says on stdout. Safe for concurrent use.
type saying struct {
	mark  string
	noise process.Head  // what the login says beside it
	end   chan struct{} // closed when the script has said its end

	mu     sync.Mutex // guards the fields below
	line   []byte
	begun  bool
	said   []byte
	status string // of the script's end
}

func newSaying(mark string) *saying {
	return &saying{mark: mark, noise: process.Head{Limit: maxNoise}, end: make(chan struct{})}
}

// Write implements io.Writer.
func (s *saying) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range p {
		if c != '\n' {
			if len(s.line) < maxLine {
				s.line = append(s.line, c)
			}
			continue
		}
		s.take(string(bytes.TrimSuffix(s.line, []byte("\r"))))
		s.line = s.line[:0]
	}
	return len(p), nil
}

// take takes a line. The caller holds s.mu.
func (s *saying) take(line string) {
	status, isEnd := strings.CutPrefix(line, s.mark+" end ")
	switch {
	case s.status != "":
	case line == s.mark+" begin":
		s.begun = true
	case isEnd && status != "":
		s.status = status
		close(s.end)
	case s.begun && len(s.said)+len(line) < maxCommandSays:
		s.said = append(append(s.said, line...), '\n')
	case !s.begun:
		_, _ = s.noise.Write([]byte(line + "\n"))
	}
}

// result returns what the script has said, or why it has not come to its end.
func (s *saying) result(cause error) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.status == "0":
		return s.said, nil
	case s.status != "":
		return s.said, errors.New("status " + s.status + shown(s.said))
	case s.begun && cause == nil:
		cause = errors.New("it has ended early")
	case !s.begun:
		return nil, s.notBegun(cause)
	}
	return s.said, fmt.Errorf("%w%s", cause, shown(s.said))
}

// notBegun is the error of a login that has not run our script. The caller holds s.mu.
func (s *saying) notBegun(cause error) error {
	noise := append(s.noise.Bytes(), s.line...)
	if _, exited := errors.AsType[*ssh.ExitError](cause); cause == nil || exited {
		what := "it runs something else instead"
		if cause != nil {
			what = cause.Error()
		}
		return banger.Errorf(banger.CodeUnavailable, "cannot run a command on the host: %s%s", what, shown(noise)).
			WithHint("banger needs a login that runs commands; nologin shells, restricted shells and forced commands (ForceCommand, command= in authorized_keys) " +
				"cannot be used, nor start-up files that end the login")
	}
	if errors.Is(cause, errNoAnswer) {
		return banger.Errorf(banger.CodeUnavailable, "the login shell has not run a command within %s%s", commandTimeout, shown(noise)).
			WithHint("%s", sshhost.ShellHint)
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot run a command on the host: %w%s", cause, shown(noise))
}

// errNoAnswer is the cause of a context whose command took too long.
var errNoAnswer = fmt.Errorf("it has not ended within %s", commandTimeout)

// shown returns what a host said for the end of an error.
func shown(out []byte) string {
	out = bytes.TrimSpace(out)
	if len(out) == 0 {
		return ""
	}
	if len(out) > maxShown { // some repeat the whole command line before they say what is wrong with it
		return fmt.Sprintf("; it says %q … %q", out[:maxShown/2], out[len(out)-maxShown/2:])
	}
	return fmt.Sprintf("; it says %q", out)
}
