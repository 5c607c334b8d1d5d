package sshhost

import (
	"net"
	"net/url"
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
// follows it, and ssh://[user@]host[:port], and refuses what ssh(1) refuses.
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
	rest, isURL := strings.CutPrefix(text, urlScheme)
	if isURL {
		if t.User, rest, err = userOfURL(rest); err != nil {
			return t, err
		}
	} else if at := strings.LastIndexByte(rest, '@'); at >= 0 { // the user may contain one, too
		t.User, rest = rest[:at], rest[at+1:]
		if t.User == "" {
			return t, errNoUser
		}
	}
	host, port, err := splitPort(rest, isURL)
	if err != nil {
		return t, err
	}
	if isURL {
		if host, err = hostOfURL(host); err != nil {
			return t, err
		}
	}
	t.Host = host
	if port == nil {
		return t, nil
	}
	t.Port, err = parsePort(*port)
	return t, err
}

// urlScheme begins an address of draft-ietf-secsh-scp-sftp-ssh-uri-04, which ssh(1) takes,
// too: parse_uri of its misc.c.
const urlScheme = "ssh://"

const errNoUser = targetError("there is no user before the @")

// userOfURL cuts the user from the part behind the scheme, with its escapes and without
// parameters of the connection. It is "" if there is none.
func userOfURL(text string) (user, rest string, err error) {
	user, rest, ok := strings.Cut(text, "@")
	if !ok {
		user, rest = "", text
	}
	if rest = strings.TrimSuffix(rest, "/"); strings.ContainsRune(rest, '/') {
		return "", "", targetError("an ssh:// address has no path")
	}
	if !ok {
		return "", rest, nil
	}
	user, _, _ = strings.Cut(user, ";")
	if user == "" {
		return "", "", errNoUser
	}
	if user, err = url.QueryUnescape(user); err != nil {
		return "", "", targetError("the user has a % that is no escape: " + err.Error())
	}
	return user, rest, nil
}

// hostOfURL returns a host as ssh(1) takes it from an address: one that could be in the
// DNS, without the dot at its end. An IPv6 address is taken, as the draft has it.
func hostOfURL(host string) (string, error) {
	allowed := func(r rune) bool {
		return r == '.' || r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	switch {
	case isIPv6(host):
		return host, nil
	case host != "" && strings.IndexByte("._-", host[0]) >= 0 || strings.Contains(host, "..") ||
		strings.ContainsFunc(host, func(r rune) bool { return !allowed(r) }):
		return "", targetError("hostname contains invalid characters")
	}
	return strings.TrimSuffix(host, "."), nil
}

// splitPort splits host[:port]; port is nil if there is none. What follows a colon and is
// no number belongs to the host, which may be the alias of a configuration.
func splitPort(text string, isURL bool) (host string, port *string, err error) {
	if inside, ok := strings.CutPrefix(text, "["); ok {
		end := strings.LastIndexByte(inside, ']')
		if end < 0 {
			return "", nil, targetError("a bracket is not closed")
		}
		host, after := inside[:end], inside[end+1:]
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
	if isURL && after == "" {
		return host, nil, nil
	}
	if !ok || strings.ContainsRune(after, ':') || strings.Trim(after, "0123456789") != "" && !isURL { // two colons: an IPv6 address
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

// targetError says what is wrong with a target.
type targetError string

func (e targetError) Error() string { return string(e) }

// What ssh(1) refuses in a host and in a user, since both may get into the command line
// of a shell: valid_hostname and valid_ruser of its ssh.c. Newer versions refuse more; what
// they say of it, ssh -G says.
const (
	notInHosts = "'`\"$\\;&<>|(){}"
	notInUsers = "'`\";&<>|(){}"
	whiteSpace = " \t\n\v\f\r"
)

// check refuses what could not be right as an argument of ssh.
func (t Target) check() error {
	switch {
	case t.Host == "":
		return targetError("the host is missing")
	case strings.HasPrefix(t.Host, "-") || strings.ContainsAny(t.Host, notInHosts+whiteSpace+"@") || hasControl(t.Host):
		return targetError("hostname contains invalid characters")
	case strings.HasPrefix(t.Host, urlScheme):
		return targetError("the host is an address itself")
	case !validUser(t.User):
		return targetError("remote username contains invalid characters")
	case t.Port < 0 || t.Port > 65535:
		return targetError("the port must be a number from 1 to 65535")
	}
	return nil
}

func validUser(user string) bool {
	for i := range len(user) - 1 {
		if strings.IndexByte(whiteSpace, user[i]) >= 0 && user[i+1] == '-' {
			return false
		}
	}
	return !strings.HasPrefix(user, "-") && !strings.HasSuffix(user, `\`) && !strings.ContainsAny(user, notInUsers) &&
		!hasControl(user) && !strings.HasPrefix(user, urlScheme) // which String could not write
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func isIPv6(s string) bool {
	address, _, _ := strings.Cut(s, "%") // without its zone
	return net.ParseIP(address) != nil
}

// String returns the target as [ParseTarget] reads it, without the identity file.
func (t Target) String() string {
	s := t.Host
	if strings.ContainsRune(s, ':') || strings.HasPrefix(s, "[") {
		s = "[" + s + "]"
	}
	if t.Port != 0 {
		s += ":" + strconv.Itoa(t.Port)
	}
	if t.User != "" {
		s = t.User + "@" + s
	}
	return s
}

// Command returns the line for a user's shell that has a program of OpenSSH do something
// with the target: ssh, with options, or ssh-copy-id.
func (t Target) Command(program ...string) string {
	if t.IdentityFile != "" {
		program = append(program, "-i", t.IdentityFile)
	}
	if t.Port != 0 {
		program = append(program, "-p", strconv.Itoa(t.Port))
	}
	name := t.Host
	if t.User != "" {
		name = t.User + "@" + name
	}
	var line []string
	for _, word := range append(program, name) {
		line = append(line, shellWord(word))
	}
	return strings.Join(line, " ")
}

// shellWord quotes a word where a shell would not take it as it is.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return word
}
