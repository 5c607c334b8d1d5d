package mmdebstrap

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"

	"banger"
)

// What is kept of mmdebstrap's stderr for an error.
const (
	maxTailLines = 20
	maxLineBytes = 512
)

// stage is a part of mmdebstrap's work.
type stage struct {
	text string  // its message begins so
	name string  // for people
	done float64 // how much was done before, 0 to 1
}

// stages are the messages worth a report, with their parts of the time as
// measured on two cores with a near mirror.
func stages() []stage {
	return []stage{
		{"running apt-get update", "reading package lists", 0.01},
		{"downloading packages", "downloading packages", 0.07},
		{"extracting archives", "extracting packages", 0.10},
		{"installing essential packages", "installing essential packages", 0.20},
		{"installing remaining packages", "installing remaining packages", 0.45},
		{"creating tarball", writing, tarStart},
		{"removing tempdir", "removing temporary files", tarEnd},
	}
}

// While the tar is written, progress is by its bytes; one of a system without
// further packages has usualTarBytes.
const (
	writing       = "writing the file system"
	tarStart      = 0.88
	tarEnd        = 0.94
	usualTarBytes = 405 << 20
)

// stageLog reads mmdebstrap's stderr: its "I: " lines name the stage, and the
// last of the others explain a failure. It is written to by one goroutine.
type stageLog struct {
	begin   func(stage)
	partial []byte // the line that has not ended yet, cut at maxLineBytes
	last    []string
}

// Write implements io.Writer.
func (l *stageLog) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\n\r") // progress of apt ends with \r
		rest := p[len(p):]
		if end >= 0 {
			p, rest = p[:end], p[end+1:]
		}
		l.partial = append(l.partial, p[:min(len(p), maxLineBytes-len(l.partial))]...)
		if end >= 0 {
			l.line(strings.TrimSpace(string(l.partial)))
			l.partial = l.partial[:0]
		}
		p = rest
	}
	return n, nil
}

func (l *stageLog) line(text string) {
	if message, ok := strings.CutPrefix(text, "I: "); ok {
		for _, s := range stages() {
			if strings.HasPrefix(message, s.text) {
				l.begin(s)
			}
		}
		return
	}
	if text == "" {
		return
	}
	if len(l.last) == maxTailLines {
		l.last = l.last[1:]
	}
	l.last = append(l.last, text)
}

// tail returns the last lines.
func (l *stageLog) tail() string {
	lines := l.last
	if rest := strings.TrimSpace(string(l.partial)); rest != "" {
		lines = append(lines[:len(lines):len(lines)], rest)
	}
	return strings.Join(lines, "\n")
}

// explanations reports what apt and mmdebstrap mean, the first that fits.
// Messages get the recipe.
func explanations(r banger.ImageRecipe) []explanation {
	mirror := r.Mirror
	if mirror == "" {
		mirror = "deb.debian.org"
	}
	return []explanation{
		{"Unable to locate package", banger.CodeInvalid, "Debian " + r.Suite + " has no such package", "see https://packages.debian.org for what there is"},
		{"has no installation candidate", banger.CodeInvalid, "Debian " + r.Suite + " has no such package", "see https://packages.debian.org for what there is"},
		{"does not have a Release file", banger.CodeInvalid, "mirror " + mirror + " has no release " + r.Suite, "check the suite and the mirror"},
		{"signatures couldn't be verified", banger.CodeInvalid, "the signature of " + mirror + " is by no key that this host trusts", "install the keyring of the release, for Debian: apt-get install debian-archive-keyring"},
		{"is not signed", banger.CodeInvalid, "mirror " + mirror + " is not signed", "use a mirror of Debian"},
		{"newuidmap", banger.CodeMissing, "this user's subordinate ids cannot be used", "check /etc/subuid and /etc/subgid, or build as root"},
		{"unshare() failed", banger.CodeMissing, "this host lets this user make no namespaces", "build as root"},
		{"Temporary failure resolving", banger.CodeUnavailable, "mirror " + mirror + " cannot be reached", "check the network, or name another mirror with --mirror"},
		{"Could not connect", banger.CodeUnavailable, "mirror " + mirror + " cannot be reached", "check the network, or name another mirror with --mirror"},
		{"Could not resolve", banger.CodeUnavailable, "mirror " + mirror + " cannot be reached", "check the network, or name another mirror with --mirror"},
		{"Failed to fetch", banger.CodeUnavailable, "mirror " + mirror + " does not give what it lists", "try again later, or name another mirror with --mirror"},
	}
}

type explanation struct {
	text    string // in the output
	code    banger.Code
	message string
	hint    string
}

// explain makes an error of mmdebstrap's failure. A full disk is syscall.ENOSPC
// for errors.Is.
func explain(r banger.ImageRecipe, err error, output string) error {
	for _, full := range []string{"No space left on device", "enough free space"} {
		if strings.Contains(output, full) {
			return fmt.Errorf("cannot run mmdebstrap: %w", syscall.ENOSPC)
		}
	}
	for _, e := range explanations(r) {
		if strings.Contains(output, e.text) {
			return banger.Errorf(e.code, "cannot build image: %s:\n%s", e.message, output).WithHint("%s", e.hint)
		}
	}
	return fmt.Errorf("cannot run mmdebstrap: %w:\n%s", err, output)
}
