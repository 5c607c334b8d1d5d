package sshhost

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
)

// expander puts in what tokens stand for; ssh_config(5), TOKENS.
type expander struct {
	home   string
	tokens map[byte]string
	env    func(string) string
}

// expander makes one for a host. Its aliases and tokens are those of r.
func (d *Dialer) expander(r *Resolved) (*expander, error) {
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("cannot look up the local user: %w", err)
	}
	local, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("cannot get the local host name: %w", err)
	}
	home := me.HomeDir
	if d.Home != "" {
		home = d.Home
	}
	short, _, _ := strings.Cut(local, ".")
	alias := r.HostKeyAlias
	if alias == "" {
		alias = r.Target.Host
	}
	return &expander{home: home, env: os.Getenv, tokens: map[byte]string{
		'%': "%", 'd': home, 'h': r.HostName, 'i': me.Uid, 'k': alias, 'L': short, 'l': local,
		'n': r.Target.Host, 'p': fmt.Sprint(r.Port), 'r': r.User, 'u': me.Username,
	}}, nil
}

// path expands a file name: ~ first, then tokens and ${VARIABLES}.
func (x *expander) path(s string) (string, error) {
	if rest, ok := strings.CutPrefix(s, "~"); ok {
		name, rest, _ := strings.Cut(rest, "/")
		home := x.home
		if name != "" {
			other, err := user.Lookup(name)
			if err != nil {
				return "", fmt.Errorf("cannot expand %q: %w", s, err)
			}
			home = other.HomeDir
		}
		// What the password file says of a home is not a token.
		s = strings.ReplaceAll(home, "%", "%%") + "/" + rest
	}
	path, err := x.expand(s, "%dhikLlnpru", true)
	if err != nil {
		return "", err
	}
	return filepath.Clean(path), nil
}

// proxy expands what a ProxyCommand or ProxyJump may hold.
func (x *expander) proxy(s string) (string, error) { return x.expand(s, "%hnpr", false) }

// expand replaces the tokens that are allowed; any other is an error.
func (x *expander) expand(s, allowed string, variables bool) (string, error) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			i++
			if i == len(s) || !strings.ContainsRune(allowed, rune(s[i])) {
				return "", fmt.Errorf("cannot expand %q: the token %q is not supported there", s, s[i-1:min(i+1, len(s))])
			}
			out.WriteString(x.tokens[s[i]])
		case variables && strings.HasPrefix(s[i:], "${"):
			name, _, ok := strings.Cut(s[i+2:], "}")
			if !ok {
				return "", fmt.Errorf("cannot expand %q: a ${ is not closed", s)
			}
			value := x.env(name)
			if value == "" {
				return "", fmt.Errorf("cannot expand %q: the environment has no %s", s, name)
			}
			out.WriteString(value)
			i += len(name) + 2
		default:
			out.WriteByte(s[i])
		}
	}
	return out.String(), nil
}
