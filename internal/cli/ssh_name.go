package cli

import (
	"context"
	"net"
	"strconv"
	"strings"

	"banger"
	"banger/internal/sshconfig"
)

// sshName is what a host name means that the configuration of ssh is for: NAME.banger is a VM,
// and +SESSION.NAME.banger is a session of it.
type sshName struct {
	vm      string // a reference
	session string // a reference; empty for the VM itself
}

// sessionMark begins the host name of a session.
const sessionMark = "+"

// parseSSHName reads a host name as the user has typed it for ssh. Case does not matter in
// host names, and VMs are in lower case; sessions are not.
func parseSSHName(host string) (sshName, error) {
	name, ours := cutSuffixFold(strings.TrimSuffix(host, "."), sshconfig.Suffix)
	dot := strings.LastIndexByte(name, '.')
	vm, rest := strings.ToLower(name[dot+1:]), name[:max(dot, 0)]
	session, isSession := strings.CutPrefix(rest, sessionMark)
	switch {
	case !ours || vm == "" || isSession && session == "" || strings.HasPrefix(vm, sessionMark):
		return sshName{}, banger.Errorf(banger.CodeInvalid, "cannot connect to %.100q: a VM is reached as NAME%s, a session as %sSESSION.NAME%[2]s",
			host, sshconfig.Suffix, sessionMark)
	case dot >= 0 && !isSession:
		return sshName{}, banger.Errorf(banger.CodeInvalid, "cannot connect to %.100q: a VM's name has no dot", host).
			WithHint("see the names with: banger vm list; a session is reached as %sSESSION.NAME%s", sessionMark, sshconfig.Suffix)
	}
	return sshName{vm: vm, session: session}, nil
}

// cutSuffixFold is strings.CutSuffix whatever the case is.
func cutSuffixFold(s, suffix string) (before string, found bool) {
	if at := len(s) - len(suffix); at >= 0 && strings.EqualFold(s[at:], suffix) {
		return s[:at], true
	}
	return s, false
}

// sshAccess returns how a VM is reached, which is started first if it is not running.
func (c *CLI) sshAccess(ctx context.Context, n sshName) (banger.SSHAccess, error) {
	var access banger.SSHAccess
	err := c.onRunningVM(ctx, n.vm, false, func() (err error) {
		access, err = c.Backend.Services().VMs.SSHAccess(ctx, n.vm)
		return err
	})
	if err == nil && access.Destination != "" {
		return banger.SSHAccess{}, banger.Errorf(banger.CodeInvalid,
			"cannot connect to VM %s by this name: it is a remote host, and your own ssh configuration says how to log in there", n.vm).
			WithHint("log in with: ssh %s, or: banger vm ssh %s", access.Destination, n.vm)
	}
	return access, err
}

// dialSSH connects to the SSH server that a name stands for.
func (c *CLI) dialSSH(ctx context.Context, n sshName) (net.Conn, error) {
	if n.session != "" {
		return c.dialSession(ctx, n)
	}
	access, err := c.sshAccess(ctx, n)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(access.Host, strconv.Itoa(access.Port)))
	if err != nil {
		return nil, banger.Errorf(banger.CodeUnavailable, "cannot connect to VM %s: %w", n.vm, err)
	}
	return conn, nil
}
