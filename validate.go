package banger

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a request. The sum of arguments and environment is what Linux
// allows an execve(2) with the default stack limit.
const (
	MaxNameBytes      = 255
	MaxTags           = 64
	MaxTagBytes       = 4096
	MaxLaunchBytes    = 2 << 20
	MaxLaunchStrings  = 65536
	maxArgumentBytes  = 128<<10 - 1 // MAX_ARG_STRLEN of Linux, less its NUL
	maxIdempotencyKey = 255
	MaxTimeout        = 10 * 365 * 24 * time.Hour
	MaxStopGrace      = 24 * time.Hour
	MinSessionMemory  = 1 << 20
	MinSessionCPUs    = 0.01
)

// WithDefaults returns the request with every zero field set.
func (r VMRequest) WithDefaults() VMRequest {
	if r.Image == "" {
		r.Image = DefaultImageName
	}
	if r.CPUs == 0 {
		r.CPUs = DefaultCPUs
	}
	if r.MemoryMiB == 0 {
		r.MemoryMiB = DefaultMemoryMiB
	}
	if r.SystemDiskMiB == 0 {
		r.SystemDiskMiB = DefaultDiskMiB
	}
	if r.WorkDiskMiB == 0 {
		r.WorkDiskMiB = DefaultDiskMiB
	}
	return r
}

// Validate checks a request that has its defaults.
func (r VMRequest) Validate() error {
	if r.Name != "" && !validHostname(r.Name) {
		return Errorf(CodeInvalid, "cannot create VM %.100q: a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -", r.Name)
	}
	if r.Init != "" && !slices.Contains(Inits(), r.Init) {
		return Errorf(CodeInvalid, "cannot create VM: %.100q is not an init that a VM can have; it must be banger or systemd", string(r.Init))
	}
	for _, f := range []struct {
		what          string
		value, lo, hi int
		unit          string
	}{
		{"number of CPUs", r.CPUs, 1, MaxCPUs, ""},
		{"memory", r.MemoryMiB, MinMemoryMiB, MaxMemoryMiB, " MiB"},
		{"system disk", r.SystemDiskMiB, MinDiskMiB, MaxDiskMiB, " MiB"},
		{"work disk", r.WorkDiskMiB, MinDiskMiB, MaxDiskMiB, " MiB"},
	} {
		if f.value < f.lo || f.value > f.hi {
			return Errorf(CodeInvalid, "cannot create VM: a %s of %d%s cannot work; it must lie between %d and %d%s",
				f.what, f.value, f.unit, f.lo, f.hi, f.unit)
		}
	}
	return nil
}

// Validate checks the name.
func (r VMRename) Validate() error {
	if !validHostname(r.Name) {
		return Errorf(CodeInvalid, "cannot name VM %.100q: a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -", r.Name)
	}
	return nil
}

// Validate checks everything about a remote host that can be known without it.
func (r RemoteRequest) Validate() error {
	switch {
	case !validHostname(r.Name):
		return Errorf(CodeInvalid, "cannot add VM %.100q: a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -", r.Name)
	case r.SSH == "":
		return Errorf(CodeInvalid, "cannot add VM %s: no host is given", r.Name)
	case r.IdentityFile != "" && !path.IsAbs(r.IdentityFile):
		return Errorf(CodeInvalid, "cannot add VM %s: key file %.100q is not absolute", r.Name, r.IdentityFile)
	}
	return r.Answers.Validate()
}

// Validate checks everything about answers that can be known without the host.
func (a RemoteAnswers) Validate() error {
	if a.AgentSocket != "" && !path.IsAbs(a.AgentSocket) {
		return Errorf(CodeInvalid, "cannot use the ssh-agent: the path of its socket, %.100q, is not absolute", a.AgentSocket)
	}
	return nil
}

// validHostname checks for a DNS label in lower case (RFC 1123, section 2.1).
func validHostname(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Validate checks everything about a request that can be known without the guest.
func (r SessionRequest) Validate() error {
	if r.Name != "" {
		if err := validateName("session", r.Name); err != nil {
			return err
		}
	}
	if len(r.IdempotencyKey) > maxIdempotencyKey {
		return Errorf(CodeInvalid, "cannot start session: its idempotency key has more than %d bytes", maxIdempotencyKey)
	}
	if err := validateTags(r.Tags); err != nil {
		return err
	}
	whole, err := r.WithSecrets(r.SecretEnv)
	if err != nil {
		return err
	}
	return whole.Validate()
}

// validUser checks for USER or USER:GROUP.
func validUser(s string) bool {
	user, group, grouped := strings.Cut(s, ":")
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\n") && !strings.Contains(group, ":") &&
		(!grouped || user != "" && group != "")
}

// Validate checks everything about a launch that can be known without the guest.
func (l Launch) Validate() error {
	switch {
	case l.Command == "" && !l.LoginShell:
		return Errorf(CodeInvalid, "cannot start session: no command is given")
	case l.Command != "" && l.LoginShell:
		return Errorf(CodeInvalid, "cannot start session: command %.100q is given, and the login shell is to run", string(l.Command)).
			WithHint("have the shell run it with the arguments -c and the command")
	case l.StdinMode != StdinClosed && l.StdinMode != StdinPipe:
		return Errorf(CodeInvalid, "cannot start session: stdin mode %q is not closed or pipe", string(l.StdinMode))
	case l.TTY && l.StdinMode == StdinClosed:
		return Errorf(CodeInvalid, "cannot start session: a terminal always has an input, so stdin mode closed cannot be had with tty")
	case l.Window != nil && (!l.TTY || l.Window.Rows == 0 || l.Window.Cols == 0):
		return Errorf(CodeInvalid, "cannot start session: a window of %d rows of %d needs a terminal, and a row and a column at least", l.Window.Rows, l.Window.Cols)
	case l.LogLimit != 0 && l.LogLimit != NoLogLimit && l.LogLimit < MinLogLimit:
		return Errorf(CodeInvalid, "cannot start session: a log limit of %d bytes is less than %d", l.LogLimit, MinLogLimit).
			WithHint("keep all with %d", NoLogLimit)
	case l.TimeoutMS < 0 || l.TimeoutMS > MaxTimeout.Milliseconds():
		return Errorf(CodeInvalid, "cannot start session: a time limit of %d ms does not lie between 0 and %s", l.TimeoutMS, MaxTimeout)
	case l.TimeoutGraceMS != nil && (*l.TimeoutGraceMS < 0 || *l.TimeoutGraceMS > MaxStopGrace.Milliseconds()):
		return Errorf(CodeInvalid, "cannot start session: a grace of %d ms does not lie between 0 and %s", *l.TimeoutGraceMS, MaxStopGrace)
	case l.TimeoutGraceMS != nil && l.TimeoutMS == 0:
		return Errorf(CodeInvalid, "cannot start session: the grace of a time limit is given, and no time limit")
	case l.Cwd != "" && !path.IsAbs(string(l.Cwd)):
		return Errorf(CodeInvalid, "cannot start session: working directory %.100q is not absolute", string(l.Cwd))
	case !validUser(l.User):
		return Errorf(CodeInvalid, "cannot start session: %.100q cannot be a user name", l.User)
	}
	for _, key := range slices.Sorted(maps.Keys(l.Env)) {
		if !validEnvName(key) {
			return Errorf(CodeInvalid, "cannot start session: %.100q is not an environment name: use letters, digits and _, not beginning with a digit", key)
		}
	}
	if err := l.Limits.validate(); err != nil {
		return err
	}
	return l.validateStrings()
}

// validate checks that no limit is below what a process needs.
func (l Limits) validate() error {
	switch {
	case l.MemoryBytes != 0 && l.MemoryBytes < MinSessionMemory:
		return Errorf(CodeInvalid, "cannot start session: a limit of %d bytes of memory is less than %d", l.MemoryBytes, MinSessionMemory)
	case l.CPUs != 0 && !(l.CPUs >= MinSessionCPUs && l.CPUs <= MaxCPUs):
		return Errorf(CodeInvalid, "cannot start session: a limit of %g CPUs does not lie between %g and %d", l.CPUs, MinSessionCPUs, MaxCPUs)
	case l.PIDs < 0:
		return Errorf(CodeInvalid, "cannot start session: a limit of %d processes is negative", l.PIDs)
	}
	return nil
}

// Validate checks a stop of a VM.
func (r VMStopRequest) Validate() error {
	switch {
	case r.Grace < 0 || r.Grace > MaxStopGrace:
		return Errorf(CodeInvalid, "cannot stop VM: a grace period of %s is not between 0 and %s", r.Grace, MaxStopGrace)
	case r.Kill && r.Grace != 0:
		return Errorf(CodeInvalid, "cannot stop VM: a kill has no grace period, and %s was given", r.Grace)
	}
	return nil
}

// Validate checks a stop.
func (r StopRequest) Validate() error {
	switch {
	case r.Kill && r.Grace != 0:
		return Errorf(CodeInvalid, "cannot stop session: a kill has no grace period, and %s was given", r.Grace)
	case r.Grace < 0 || r.Grace > MaxStopGrace:
		return Errorf(CodeInvalid, "cannot stop session: a grace time of %s does not lie between 0 and %s", r.Grace, MaxStopGrace)
	case len(r.By) > MaxRequesterBytes || !utf8.ValidString(r.By):
		return Errorf(CodeInvalid, "cannot stop session: the requester must be UTF-8 of at most %d bytes", MaxRequesterBytes)
	}
	return nil
}

// validateStrings checks every byte string of l for NUL and for size.
func (l Launch) validateStrings() error {
	total, count := 0, 0
	check := func(what string, b ByteString) error {
		total += len(b) + 1
		count++
		switch {
		case b.hasNUL():
			return Errorf(CodeInvalid, "cannot start session: %s contains a NUL byte", what)
		case len(b) > maxArgumentBytes:
			return Errorf(CodeInvalid, "cannot start session: %s has %d bytes; Linux allows at most %d", what, len(b), maxArgumentBytes)
		case total > MaxLaunchBytes || count > MaxLaunchStrings:
			return Errorf(CodeInvalid, "cannot start session: arguments and environment are more than %d bytes or %d strings; Linux allows no more",
				MaxLaunchBytes, MaxLaunchStrings)
		}
		return nil
	}
	if err := check("the command", l.Command); err != nil {
		return err
	}
	if err := check("the working directory", l.Cwd); err != nil {
		return err
	}
	for _, a := range l.Args {
		if err := check("an argument", a); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.Env)) {
		// One string, as execve(2) gets it: its limits count the name too.
		if err := check(fmt.Sprintf("environment variable %.100s", key), ByteString(key)+"="+l.Env[key]); err != nil {
			return err
		}
	}
	for _, c := range l.RequiredCommands {
		if c == "" {
			return Errorf(CodeInvalid, "cannot start session: a required command is empty")
		}
		if err := check("a required command", c); err != nil {
			return err
		}
	}
	return nil
}

// validEnvName reports whether s is a name in the sense of POSIX.1-2017, 3.235.
func validEnvName(s string) bool {
	for i, c := range s {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func validateName(kind, name string) error {
	switch {
	case len(name) > MaxNameBytes:
		return Errorf(CodeInvalid, "cannot name %s: the name has %d bytes; at most %d are allowed", kind, len(name), MaxNameBytes)
	case !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0:
		return Errorf(CodeInvalid, "cannot name %s %q: a name is UTF-8 without NUL", kind, name)
	case name == "." || name == "..":
		return Errorf(CodeInvalid, "cannot name %s %q: that is a path of a directory", kind, name)
	}
	return nil
}

func validateTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return Errorf(CodeInvalid, "cannot tag session: %d tags are more than %d", len(tags), MaxTags)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		switch {
		case key == "":
			return Errorf(CodeInvalid, "cannot tag session: a tag has no key")
		case len(key)+len(value) > MaxTagBytes:
			return Errorf(CodeInvalid, "cannot tag session: tag %.40q has more than %d bytes", key, MaxTagBytes)
		case !utf8.ValidString(key+value) || strings.IndexByte(key+value, 0) >= 0:
			return Errorf(CodeInvalid, "cannot tag session: tag %q is not UTF-8 without NUL", key)
		}
	}
	return nil
}
