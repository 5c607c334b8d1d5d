package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed" // the script
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/firstbytes"
	"banger/internal/sshhost"
)

// probeScript is run by the host's /bin/sh.
//
//go:embed probe.sh
var probeScript string

const (
	probeTimeout  = time.Minute
	maxProbeBytes = 64 << 10
	maxShown      = 200 // bytes of what a host said, in an error
)

// findings are what the probe has found on a host.
type findings struct {
	goarch   string
	state    string   // folder for what is kept
	programs []string // folders in which programs can be executed, the best first
	// installed is the one of them that has the version, "" if none does.
	installed string
}

// probe asks a host what it is, and where the agent's version lies or can lie.
func probe(ctx context.Context, client *ssh.Client, version string) (findings, error) {
	mark := "banger-" + rand.Text()
	// The script comes on stdin, so that no login shell reads it.
	script := fmt.Sprintf("mark=%s version=%s\n%s", mark, version, probeScript)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	out, err := run(ctx, client, "/bin/sh", strings.NewReader(script))
	f, said := parseFindings(out, mark)
	switch {
	case !said && err != nil:
		return f, banger.Errorf(banger.CodeUnavailable, "cannot run a command on the host: %w%s", err, shown(out)).
			WithHint("banger needs a login that runs commands; nologin shells and forced commands cannot be used")
	case !said:
		return f, banger.Errorf(banger.CodeUnavailable, "cannot run /bin/sh on the host: it runs something else instead%s", shown(out)).
			WithHint("a forced command (ForceCommand, command= in authorized_keys) cannot be used")
	}
	return f, f.check()
}

// parseFindings reads the lines that begin with mark; said reports whether there was
// one. What a login shell prints beside them is passed over.
func parseFindings(out []byte, mark string) (f findings, said bool) {
	for line := range strings.Lines(string(out)) {
		line, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), mark+" ")
		if !ok {
			continue
		}
		said = true
		kind, value, _ := strings.Cut(line, " ")
		switch {
		case kind == "system":
			f.goarch = goarch(value)
		case !quotable(value):
		case kind == "state" && f.state == "":
			f.state = value
		case kind == "program":
			f.programs = append(f.programs, value)
		case kind == "installed" && f.installed == "":
			f.installed = value
		}
	}
	return f, said
}

// goarch returns Go's name of what uname -s -m says, or that itself if there is no
// agent for it.
func goarch(system string) string {
	switch system {
	case "Linux x86_64", "Linux amd64":
		return "amd64"
	case "Linux aarch64", "Linux arm64":
		return "arm64"
	}
	return system
}

func (f findings) check() error {
	switch {
	case f.goarch != "amd64" && f.goarch != "arm64":
		return banger.Errorf(banger.CodeMissing, "cannot use the host: it is %.80q, and there is an agent for Linux on x86_64 and aarch64 only", f.goarch)
	case f.state == "":
		return banger.Errorf(banger.CodeMissing, "cannot use the host: there is no folder for the state of sessions that its user can write to").
			WithHint("make the home folder or /var/tmp writable")
	case len(f.programs) == 0:
		return banger.Errorf(banger.CodeMissing, "cannot use the host: there is no folder in which its user can execute an uploaded program").
			WithHint("let the home folder, /var/tmp, /tmp or /dev/shm be mounted without noexec")
	}
	return nil
}

// quotable reports whether quote can make a path safe for every shell.
func quotable(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(c rune) bool {
		return c < ' ' || c == '\'' || c == '\\' || c == '!' || c == 0x7f || c == 0xFFFD
	})
}

// quote makes a path one word for sh, csh and fish.
func quote(path string) string { return "'" + path + "'" }

// run runs a command on a host and returns the beginning of what it prints.
func run(ctx context.Context, client *ssh.Client, command string, stdin io.Reader) ([]byte, error) {
	session, err := sshhost.NewSession(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("cannot open a channel: %w", err)
	}
	defer session.Close()
	stop := context.AfterFunc(ctx, func() { session.Close(); client.Close() })
	defer stop()
	out := &firstbytes.Writer{Limit: maxProbeBytes}
	session.Stdin, session.Stdout, session.Stderr = stdin, out, out // which are written at once
	err = session.Run(command)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return out.Bytes(), err
}

// shown returns what a host said for the end of an error.
func shown(out []byte) string {
	out = bytes.TrimSpace(out)
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf("; it says %q", out[:min(len(out), maxShown)])
}

// failure adds what a command said to how it ended.
func failure(err error, out []byte) error {
	if err == nil {
		return nil
	}
	return errors.New(err.Error() + shown(out))
}
