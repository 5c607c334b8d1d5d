package sshhost

import (
	"net"
	"strconv"
	"strings"

	"banger"
)

// maxTarget bounds the text of a target: a host name has at most 253 bytes, RFC 1035.
const maxTarget = 512

// Target names a host as a user does on the command line of ssh. What is zero is
// as the configuration says.
type Target struct {
	User         string `json:"user,omitempty"`
	Host         string `json:"host"`
	Port         int    `json:"port,omitempty"`
	IdentityFile string `json:"identity_file,omitempty"` // absolute; tried before the configured ones
}

// ParseTarget reads [user@]host[:port], with an IPv6 address in brackets if a port
// follows it, and ssh://[user@]host[:port].
func ParseTarget(text string) (Target, error) {
	t, err := parseTarget(text)
	if err == nil {
		err = t.check()
	}
	if err != nil {
		if len(text) > maxTarget {
			text = text[:maxTarget]
		}
		return Target{}, banger.Errorf(banger.CodeInvalid, "cannot use SSH host %q: %w", text, err).
			WithHint("give [user@]host[:port], and an IPv6 address in brackets: [::1]:22")
	}
	return t, nil
}

func parseTarget(text string) (t Target, err error) {
	if len(text) > maxTarget {
		return t, targetError("it is too long")
	}
	rest, isURL := cutPrefixFold(text, "ssh://")
	if isURL {
		rest = strings.TrimSuffix(rest, "/")
		if strings.ContainsRune(rest, '/') {
			return t, targetError("an ssh:// address has no path")
		}
	}
	// The user may contain an @, as that of ssh may.
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		t.User, rest = rest[:at], rest[at+1:]
		if t.User == "" {
			return t, targetError("there is no user before the @")
		}
	}
	host, port, err := splitPort(rest)
	if err != nil {
		return t, err
	}
	t.Host = host
	if port == nil {
		return t, nil
	}
	t.Port, err = parsePort(*port)
	return t, err
}

// splitPort splits host[:port]; port is nil if there is none.
func splitPort(text string) (host string, port *string, err error) {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		host, after, ok := strings.Cut(inside, "]")
		if !ok {
			return "", nil, targetError("a bracket is not closed")
		}
		if after == "" {
			return host, nil, nil
		}
		after, ok = strings.CutPrefix(after, ":")
		if !ok {
			return "", nil, targetError("only a port can follow the brackets")
		}
		return host, &after, nil
	}
	host, after, ok := strings.Cut(text, ":")
	if !ok || strings.ContainsRune(after, ':') { // two colons: an IPv6 address
		return text, nil, nil
	}
	return host, &after, nil
}

func parsePort(text string) (int, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, targetError("the port must be a number from 1 to 65535")
	}
	return int(port), nil
}

func cutPrefixFold(s, prefix string) (after string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// targetError says what is wrong with a target.
type targetError string

func (e targetError) Error() string { return string(e) }

// notInNames may stand neither in a host nor in a user: ssh(1) refuses it too, since
// both may get into the command line of a shell.
const notInNames = "'`\"$\\;&<>|(){}"

// check refuses what could not be right as an argument of ssh.
func (t Target) check() error {
	switch {
	case t.Host == "":
		return targetError("the host is missing")
	case !isName(t.Host) || strings.ContainsAny(t.Host, "@/ "):
		return targetError("the host has a character that no host name has")
	case strings.ContainsRune(t.Host, ':') && !isIPv6(t.Host):
		return targetError("the host has a colon and is no IPv6 address")
	case t.User != "" && !isName(t.User):
		return targetError("the user has a character that no user name has")
	case t.Port < 0 || t.Port > 65535:
		return targetError("the port must be a number from 1 to 65535")
	}
	return nil
}

func isName(s string) bool {
	if strings.HasPrefix(s, "-") || strings.ContainsAny(s, notInNames) || len(s) > maxTarget {
		return false
	}
	for _, r := range []byte(s) {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

func isIPv6(s string) bool {
	address, _, _ := strings.Cut(s, "%") // without its zone
	return net.ParseIP(address) != nil
}

// String returns the target as [ParseTarget] reads it, without the identity file.
func (t Target) String() string {
	s := t.Host
	switch {
	case t.Port != 0:
		s = net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
	case strings.ContainsRune(t.Host, ':'):
		s = "[" + s + "]"
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}
