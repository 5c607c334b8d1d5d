package sshhost

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"banger"
	"banger/internal/process"
)

// Limits of what ssh -G says.
const (
	maxSettings    = 1 << 20
	maxComplaint   = 4 << 10
	sshExitTimeout = time.Second // for ssh to end after it was killed
)

// Resolve reports what the configuration makes of a target, without a connection. It
// runs ssh -G, which may run the commands of Match exec.
func (d *Dialer) Resolve(ctx context.Context, t Target) (*Resolved, error) {
	r, err := d.resolve(ctx, t)
	if err == nil {
		return r, nil
	}
	if _, ok := errors.AsType[*banger.Error](err); ok {
		return nil, err
	}
	return nil, banger.Errorf(banger.CodeInvalid, "cannot use SSH host %s: %w", t, err).
		WithHint("see how your ssh interprets it: %s", t.Command("ssh", "-G"))
}

func (d *Dialer) resolve(ctx context.Context, t Target) (*Resolved, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.IdentityFile != "" && !filepath.IsAbs(t.IdentityFile) {
		return nil, fmt.Errorf("identity file %q is not an absolute path", t.IdentityFile)
	}
	output, err := runSSH(ctx, append(d.configArguments(), targetArguments(t)...))
	if err != nil {
		return nil, err
	}
	r, err := parseSettings(output).resolve(t, d)
	if err == nil && strings.ContainsRune(r.HostName, ':') && !isIPv6(r.HostName) && r.ProxyCommand == "" {
		return nil, errors.New("the host has a colon and is not an IPv6 address, and your configuration has no HostName for it; the port must be a number")
	}
	return r, err
}

// targetArguments are those of ssh(1) for a target.
func targetArguments(t Target) []string {
	var args []string
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	if t.IdentityFile != "" {
		args = append(args, "-o", "IdentityFile="+quote(strings.ReplaceAll(t.IdentityFile, "%", "%%")))
	}
	return append(args, "--", t.Host)
}

// quote makes a value one word of ssh_config(5).
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// configArguments choose the configuration: as ssh, from the home directory of the password
// file, whatever HOME says.
func (d *Dialer) configArguments() []string {
	args := []string{"-G", "-T"}
	if d.ConfigFile != "" {
		args = append(args, "-F", d.ConfigFile)
	}
	return args
}

// runSSH returns what ssh(1) prints.
func runSSH(ctx context.Context, args []string) (string, error) {
	cmd := exec.CommandContext(ctx, "ssh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what Match exec has started
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = sshExitTimeout
	stdout, stderr := &process.Head{Limit: maxSettings}, &process.Head{Limit: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	complaint := oneLine(stderr.Bytes())
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", banger.Errorf(banger.CodeMissing, "cannot find ssh: %w", err).
			WithHint("install the Debian package openssh-client")
	case ctx.Err() != nil:
		return "", banger.Errorf(banger.CodeUnavailable, "cannot read the SSH configuration: %w", context.Cause(ctx))
	case err != nil && complaint != "":
		return "", errors.New(complaint)
	case err != nil:
		return "", fmt.Errorf("cannot run ssh -G: %w", err)
	}
	return string(stdout.Bytes()), nil
}

// oneLine makes lines of a program one, which is printable.
func oneLine(text []byte) string {
	lines := strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' })
	return printable(strings.Join(lines, "; "))
}
