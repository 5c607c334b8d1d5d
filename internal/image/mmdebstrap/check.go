package mmdebstrap

import (
	"bufio"
	"os"
	"os/exec"
	"os/user"
	"strings"

	"banger"
	"banger/internal/debian"
)

// Check reports whether this user can build images on this host: CodeMissing with
// the next step, if not.
func (b *Builder) Check() error {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		return missing()
	}
	if os.Geteuid() == 0 {
		return nil
	}
	me, err := user.Current()
	if err != nil {
		return banger.Errorf(banger.CodeMissing, "cannot build image: cannot determine the current user: %w", err)
	}
	for _, p := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(p); err != nil {
			return banger.Errorf(banger.CodeMissing, "cannot build image as user %s: %s is missing", me.Username, p).
				WithHint("apt-get install uidmap")
		}
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		if !hasSubordinateIDs(file, me) {
			return banger.Errorf(banger.CodeMissing, "cannot build image as user %s: %s gives it no subordinate ids", me.Username, file).
				WithHint("sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", me.Username)
		}
	}
	return userNamespaces()
}

func missing() error {
	return banger.Errorf(banger.CodeMissing, "cannot build image: mmdebstrap is missing").
		WithHint("apt-get install mmdebstrap")
}

// hasSubordinateIDs looks for a line NAME:FIRST:COUNT of a user, subuid(5).
func hasSubordinateIDs(file string, u *user.User) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, _, ok := strings.Cut(lines.Text(), ":")
		if ok && (name == u.Username || name == u.Uid) {
			return true
		}
	}
	return false
}

// userNamespaces looks for the switches that keep user namespaces from ordinary
// users. A switch that the kernel does not have is off.
func userNamespaces() error {
	for _, s := range []struct{ file, off, fix string }{
		{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"},
	} {
		value, err := os.ReadFile(s.file)
		if err == nil && strings.TrimSpace(string(value)) == s.off {
			return banger.Errorf(banger.CodeMissing, "cannot build image: this host lets no ordinary user make user namespaces (%s)", s.file).
				WithHint("%s, or build as root", s.fix)
		}
	}
	return nil
}

// maxPackages bounds what a recipe includes; it must fit on a command line.
const maxPackages = 1000

// checkRecipe makes sure that whatever a recipe holds can only mean what it is
// for: no option, no file, no other form of apt's package arguments.
func checkRecipe(r banger.ImageRecipe) error {
	if !validSuite(r.Suite) {
		return banger.Errorf(banger.CodeInvalid, "cannot build image: %q cannot be a Debian release", r.Suite).
			WithHint("a release is a name such as %s or stable", banger.DefaultSuite)
	}
	if len(r.Include) > maxPackages {
		return banger.Errorf(banger.CodeInvalid, "cannot build image: %d packages are more than %d", len(r.Include), maxPackages)
	}
	for _, name := range r.Include {
		if !validPackage(name) {
			return banger.Errorf(banger.CodeInvalid, "cannot build image: %q cannot be a Debian package", name).
				WithHint("a package name is at least two of a-z, 0-9, +, - and ., and begins with a letter or digit")
		}
	}
	if r.Mirror != "" && !debian.ValidMirror(r.Mirror) {
		return banger.Errorf(banger.CodeInvalid, "cannot build image: %q cannot be a mirror", r.Mirror).
			WithHint("a mirror is a URL such as http://deb.debian.org/debian")
	}
	return nil
}

// validPackage checks a name as Debian Policy, section 5.6.1, has them. A name
// that ends with - or + would tell apt to remove or install; only +, as in g++,
// ends real ones.
func validPackage(s string) bool {
	return len(s) >= 2 && len(s) <= 128 && consistsOf(s, "+-.") && alphanumeric(s[0]) && s[len(s)-1] != '-'
}

func validSuite(s string) bool {
	return s != "" && len(s) <= 64 && consistsOf(s, "-.") && alphanumeric(s[0])
}

// consistsOf reports whether s has only lower-case letters, digits and extra.
func consistsOf(s, extra string) bool {
	for _, c := range []byte(s) {
		if !alphanumeric(c) && strings.IndexByte(extra, c) < 0 {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
