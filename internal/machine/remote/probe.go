package remote

import (
	"context"
	"crypto/rand"
	_ "embed" // the script
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"banger"
)

// probeScript is run by the host's /bin/sh.
//
//go:embed probe.sh
var probeScript string

// findings are what the probe has found on a host.
type findings struct {
	goarch   string
	programs []string // directories in which programs can be executed, the best first
	// installed is the one of them that has the version, "" if none does.
	installed string
	// With a version installed: the directory for what is kept, and the places that cannot be
	// used, each with what failed there.
	state string
	unfit []string
	// passed are those of unfit that would have been used otherwise.
	passed []string
}

// maxUnfit bounds how many places an error names.
const maxUnfit = 16

// probe asks a host what it is, where the agent's version lies or can lie, and if it lies
// there, where sessions can be kept.
func probe(ctx context.Context, client *ssh.Client, version string) (findings, error) {
	mark := "banger-" + rand.Text()
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, errNoAnswer)
	defer cancel()
	out, err := run(ctx, client, fmt.Sprintf("mark=%s version=%s\n%s", mark, version, withoutComments(probeScript)), nil)
	if err != nil {
		return findings{}, err
	}
	f, said := parseFindings(out, mark)
	if !said {
		return f, banger.Errorf(banger.CodeUnavailable, "cannot use the host: its /bin/sh does not run a script%s", shown(out)).
			WithHint("it must be a POSIX shell")
	}
	return f, f.check()
}

// withoutComments makes a script shorter, which goes into a command line.
func withoutComments(script string) string {
	var short strings.Builder
	for line := range strings.Lines(script) {
		if line = strings.TrimLeft(line, "\t"); line != "\n" && !strings.HasPrefix(line, "#") {
			short.WriteString(line)
		}
	}
	return short.String()
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
		case (kind == "unfit" || kind == "lacking") && len(f.unfit) < maxUnfit:
			why := strings.ToValidUTF8(value[:min(len(value), maxShown)], "?")
			f.unfit = append(f.unfit, why)
			if kind == "lacking" || len(f.programs) == 0 {
				f.passed = append(f.passed, why)
			}
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

// check reports what a host lacks. Where no version is installed, nobody has looked for a place
// for sessions.
func (f findings) check() error {
	unfit := ""
	if len(f.unfit) > 0 {
		unfit = ": " + strings.Join(f.unfit, "; ")
	}
	switch {
	case f.goarch != "amd64" && f.goarch != "arm64":
		return banger.Errorf(banger.CodeMissing, "cannot use the host: it is %.80q, and there is an agent for Linux on x86_64 and aarch64 only", f.goarch)
	case len(f.programs) == 0:
		return banger.Errorf(banger.CodeMissing, "cannot use the host: there is no directory in which its user can execute an uploaded program%s", unfit).
			WithHint("let the home directory, /var/tmp, /tmp or /dev/shm be writable and mounted without noexec")
	case f.installed != "" && f.state == "":
		return banger.Errorf(banger.CodeMissing, "cannot use the host: there is no directory for the state of sessions%s", unfit).
			WithHint("the home directory or /var/tmp must be writable, have %d MiB free, and take locks (flock) and unix sockets", 16)
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
