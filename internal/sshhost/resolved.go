package sshhost

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
)

// Checking is what happens to a host key that is not known; ssh_config(5),
// StrictHostKeyChecking. One that has changed is always refused.
type Checking string

// The ways of checking.
const (
	CheckAsk    Checking = "ask"        // a Question, if it is not answered yet
	CheckStrict Checking = "yes"        // it is refused
	CheckAccept Checking = "accept-new" // it is believed and remembered
)

// Resolved is what the configuration makes of a target. Tokens and ~ are expanded.
type Resolved struct {
	Target           Target
	HostName         string // to connect to
	Port             int
	User             string
	IdentityFiles    []string // in the order of trying
	CertificateFiles []string
	IdentitiesOnly   bool     // of the agent's keys, only those of IdentityFiles
	IdentityAgent    string   // its socket; "" without an agent
	ProxyJump        []Target // through these, the first one first
	ProxyCommand     string   // for the user's shell; "" without one
	UserKnownHosts   []string // a key that was accepted goes into the first
	GlobalKnownHosts []string
	HostKeyAlias     string // to look up in place of the host; "" for the host
	Checking         Checking
	HashKnownHosts   bool
	ConnectTimeout   time.Duration // until the host has shown its key; 0 for no limit

	network, bindAddress string // for net.Dialer
	algorithms           ssh.Algorithms
}

// Address is host:port to connect to.
func (r *Resolved) Address() string { return net.JoinHostPort(r.HostName, strconv.Itoa(r.Port)) }

// defaultPort is that of SSH: RFC 4251, section 9.3.9.
const defaultPort = 22

// knownName is the host in known_hosts: ssh takes an alias as it is, with whatever port.
func (r *Resolved) knownName() string {
	switch name := lower(r.HostName); {
	case r.HostKeyAlias != "":
		return r.HostKeyAlias
	case r.Port != defaultPort:
		return fmt.Sprintf("[%s]:%d", name, r.Port)
	default:
		return name
	}
}

// settings are the lines of ssh -G: values by keyword in lower case.
type settings map[string][]string

func parseSettings(output string) settings {
	all := settings{}
	for line := range strings.Lines(output) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		key = strings.ToLower(key)
		all[key] = append(all[key], value)
	}
	return all
}

// get returns the value of a keyword, "" if it has none.
func (s settings) get(key string) string {
	if len(s[key]) == 0 {
		return ""
	}
	return s[key][0]
}

// given is get, but "" for the value none.
func (s settings) given(key string) string {
	if value := s.get(key); !strings.EqualFold(value, "none") {
		return value
	}
	return ""
}

func (s settings) isSet(key string) bool {
	return slices.Contains([]string{"yes", "true"}, s.get(key))
}

// files returns the files of a keyword that has several in one line, of which ssh -G
// tells no quotes: a file begins with a slash.
func (s settings) files(key string) []string {
	var files []string
	for word := range strings.SplitSeq(s.given(key), " ") {
		if n := len(files); n > 0 && !strings.HasPrefix(word, "/") {
			files[n-1] += " " + word
		} else if word != "" {
			files = append(files, word)
		}
	}
	return files
}

// notSupported are keywords that change whom we may trust or how a host is reached,
// so that to pass over them would be wrong.
func notSupported() []string {
	return []string{"revokedhostkeys", "knownhostscommand", "bindinterface"}
}

// check refuses what we cannot do as ssh would.
func (s settings) check() error {
	for _, key := range notSupported() {
		if s.given(key) != "" {
			return fmt.Errorf("its configuration has %s, which is not supported", key)
		}
	}
	if s.isSet("proxyusefdpass") {
		return fmt.Errorf("its configuration has proxyusefdpass, which is not supported")
	}
	if slices.Contains([]string{"no", "false"}, s.get("pubkeyauthentication")) {
		return fmt.Errorf("its configuration switches public keys off (PubkeyAuthentication), and there is no other way to log in")
	}
	return nil
}

// resolve makes sense of the settings for a target.
func (s settings) resolve(t Target, d *Dialer) (*Resolved, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	port, err := parsePort(s.get("port"))
	if err != nil {
		return nil, err
	}
	r := &Resolved{
		Target: t, HostName: s.get("hostname"), Port: port, User: s.get("user"),
		IdentitiesOnly: s.isSet("identitiesonly"), HostKeyAlias: s.given("hostkeyalias"),
		HashKnownHosts: s.isSet("hashknownhosts"), Checking: s.checking(),
		bindAddress: s.given("bindaddress"), network: s.network(),
	}
	if seconds, err := strconv.Atoi(s.given("connecttimeout")); err == nil && seconds > 0 {
		r.ConnectTimeout = time.Duration(seconds) * time.Second
	}
	if r.algorithms, err = s.algorithms(); err != nil {
		return nil, err
	}
	x, err := d.expander(r)
	if err != nil {
		return nil, err
	}
	if err := s.expandFiles(r, x, d); err != nil {
		return nil, err
	}
	return r, s.proxy(r, x)
}

func (s settings) checking() Checking {
	switch s.get("stricthostkeychecking") {
	case "yes", "true":
		return CheckStrict
	case "no", "false", "off", "accept-new":
		return CheckAccept
	}
	return CheckAsk
}

func (s settings) network() string {
	switch s.get("addressfamily") {
	case "inet":
		return "tcp4"
	case "inet6":
		return "tcp6"
	}
	return "tcp"
}

// algorithms are those that ssh would use and x/crypto has, in ssh's order.
func (s settings) algorithms() (all ssh.Algorithms, err error) {
	secure, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, a := range []struct {
		key  string
		to   *[]string
		have []string // nil: whatever it is
	}{
		{"ciphers", &all.Ciphers, append(secure.Ciphers, insecure.Ciphers...)},
		{"macs", &all.MACs, append(secure.MACs, insecure.MACs...)},
		{"kexalgorithms", &all.KeyExchanges, append(secure.KeyExchanges, insecure.KeyExchanges...)},
		{"hostkeyalgorithms", &all.HostKeys, append(secure.HostKeys, insecure.HostKeys...)},
		{"pubkeyacceptedalgorithms", &all.PublicKeyAuths, nil},
	} {
		wanted, ok := s[a.key]
		if !ok { // an older ssh has other names
			continue
		}
		for name := range strings.SplitSeq(wanted[0], ",") {
			if a.have == nil || slices.Contains(a.have, name) {
				*a.to = append(*a.to, name)
			}
		}
		if len(*a.to) == 0 {
			return all, fmt.Errorf("none of its %s (%s) is supported", a.key, wanted[0])
		}
	}
	preferFast(all.Ciphers)
	return all, nil
}

// preferFast puts AES-GCM first where it is allowed at all. ssh prefers ChaCha20, which
// x/crypto/ssh has in Go alone: it takes four times as long.
func preferFast(ciphers []string) {
	slices.SortStableFunc(ciphers, func(a, b string) int { return slowness(a) - slowness(b) })
}

func slowness(cipher string) int {
	if strings.Contains(cipher, "-gcm@") {
		return 0
	}
	return 1
}

// expandFiles fills in what are paths.
func (s settings) expandFiles(r *Resolved, x *expander, d *Dialer) error {
	var err error
	expand := func(values []string) (paths []string) {
		for _, value := range values {
			if err != nil || strings.EqualFold(value, "none") {
				continue
			}
			var path string
			path, err = x.path(value)
			paths = append(paths, path)
		}
		return paths
	}
	r.IdentityFiles = expand(s["identityfile"])
	r.CertificateFiles = expand(s["certificatefile"])
	// In these, ssh has already expanded what there was.
	r.UserKnownHosts, r.GlobalKnownHosts = s.files("userknownhostsfile"), s.files("globalknownhostsfile")
	if err == nil {
		r.IdentityAgent, err = d.agentSocket(s, x)
	}
	return err
}

// agentSocket returns the path of the agent's socket; ssh_config(5), IdentityAgent.
func (d *Dialer) agentSocket(s settings, x *expander) (string, error) {
	value := s.get("identityagent")
	name, isVariable := strings.CutPrefix(value, "$")
	switch {
	case value == "" || value == "SSH_AUTH_SOCK" || value == "$SSH_AUTH_SOCK":
		return d.defaultAgent(), nil
	case strings.EqualFold(value, "none"):
		return "", nil
	case isVariable && !strings.HasPrefix(name, "{"):
		return x.env(name), nil
	}
	return x.path(value)
}

// proxy fills in the way to the host.
func (s settings) proxy(r *Resolved, x *expander) error {
	var err error
	if command := s.given("proxycommand"); command != "" {
		r.ProxyCommand, err = x.proxy(command)
	}
	if jumps := s.given("proxyjump"); jumps != "" && err == nil {
		if jumps, err = x.proxy(jumps); err == nil {
			r.ProxyJump, err = parseJumps(jumps)
		}
	}
	return err
}

// parseJumps reads the value of ProxyJump: targets with commas between.
func parseJumps(list string) ([]Target, error) {
	var jumps []Target
	for text := range strings.SplitSeq(list, ",") {
		t, err := ParseTarget(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("in ProxyJump: %w", err)
		}
		if jumps = append(jumps, t); len(jumps) > maxHops {
			return nil, banger.Errorf(banger.CodeInvalid, "ProxyJump has more than %d hosts", maxHops)
		}
	}
	return jumps, nil
}
