// Package sshconfig writes the OpenSSH configuration by which a user's own ssh, and all that
// uses it, reaches VMs by name, and takes it into the user's configuration and out again.
package sshconfig

import (
	"fmt"
	"strings"
	"unicode"

	"banger"
)

// Suffix ends the host names that the configuration is for.
const Suffix = ".banger"

// Options are what the configuration has to name. Files are absolute.
type Options struct {
	Program      string // this one, which ssh runs to connect and to learn host keys
	IdentityFile string // the private key that guests accept
	User         string // to log in as, unless the user names another one
}

// proxyCommand is the value of ProxyCommand, which the user's shell interprets after ssh has
// replaced the tokens; ssh_config(5). No host name with a quote gets there: see Text.
func (o Options) proxyCommand() string {
	quoted := "'" + strings.ReplaceAll(o.Program, "'", `'\''`) + "'"
	return strings.ReplaceAll(quoted, "%", "%%") + " ssh-proxy -- '%n'"
}

// knownHostsCommand is the value of KnownHostsCommand, which no shell interprets. ssh replaces
// tokens in the arguments, but not in the program's own path.
func (o Options) knownHostsCommand() string {
	return quoteWord(o.Program) + " ssh-known-hosts -- %n %H"
}

// quoteWord makes a value one word, as ssh splits lines since 8.7.
func quoteWord(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// settings are the lines of the block. ssh takes the first value that it finds, and finds
// these first: the user's own settings for all hosts decide neither who the guest is nor by
// which way it is reached, and lend it none of the user's keys. What the user says on ssh's
// command line comes before.
func (o Options) settings() []string {
	return []string{
		"User " + o.User,
		"Port 22",
		"IdentityFile " + strings.ReplaceAll(quoteWord(o.IdentityFile), "%", "%%"),
		"IdentitiesOnly yes",
		"AddKeysToAgent no",
		"PreferredAuthentications publickey",
		"ProxyCommand " + o.proxyCommand(),
		"KnownHostsCommand " + o.knownHostsCommand(),
		"UserKnownHostsFile /dev/null",
		"GlobalKnownHostsFile /dev/null",
		"StrictHostKeyChecking yes",
		"UpdateHostKeys no",
		"CheckHostIP no",
		"VerifyHostKeyDNS no",
		"CanonicalizeHostname no",
		"ConnectTimeout 0", // no limit: a VM may have to start first; "none" would leave it to what follows
		"ControlMaster no", // a kept connection could be one to another guest
		"ControlPath none",
		"ForwardAgent no",
		"ForwardX11 no",
	}
}

// Text returns the configuration. The pattern that excludes quotes keeps a hostile host name,
// as a repository's address may have, from the shell of a ProxyCommand also where ssh is older
// than 9.6, which refuses such names itself (CVE-2023-51385).
func (o Options) Text() (string, error) {
	for _, path := range []string{o.Program, o.IdentityFile} {
		if strings.ContainsFunc(path, unicode.IsControl) {
			return "", banger.Errorf(banger.CodeInvalid, "cannot write an ssh configuration: the path %q contains a control character", path)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# ssh NAME%[1]s logs in to the VM NAME of banger, and starts it if it is not running.
# This is the output of "banger ssh-config"; banger's docs/SSH.md describes it.
Host *%[1]s "!*'*"
`, Suffix)
	for _, line := range o.settings() {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	return b.String(), nil
}
