// Package debian reads Debian archives: which packages with kernels their suites have, and
// what is in those. All that it returns is covered by the signature of a suite's InRelease file
// (deb-src.debian.org, "DebianRepository/Format"), by a key of the host.
package debian

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"banger"
)

// The archives that are read if no mirror is named, and whose security suites stand in for
// those that a mirror does not have.
const (
	defaultMirror   = "http://deb.debian.org/debian"
	defaultSecurity = "http://security.debian.org/debian-security"
)

// Archives reads archives over HTTP. The zero value is those of Debian and the keys of the
// host. Safe for concurrent use.
type Archives struct {
	// Transport carries all requests; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Keyrings are the files with keys that may sign, armored or not; nil: those of the host.
	Keyrings []string
	// Mirror and Security stand for Debian's own; empty: deb.debian.org and
	// security.debian.org.
	Mirror, Security string
	// Architecture is the one of packages, as Debian calls it; empty: the host's.
	Architecture string
}

func (a Archives) architecture() string {
	if a.Architecture != "" {
		return a.Architecture
	}
	return runtime.GOARCH // amd64 and arm64 are called so by both
}

func (a Archives) mirror(own string) string {
	for _, m := range []string{own, a.Mirror} {
		if m != "" {
			return strings.TrimRight(m, "/")
		}
	}
	return defaultMirror
}

func (a Archives) security() string {
	if a.Security != "" {
		return a.Security
	}
	return defaultSecurity
}

// Suite is one suite of an archive, such as bookworm-security.
type Suite struct {
	URL  string // of the archive
	Name string

	release release
}

// Suites returns what is to be read for a release of Debian: its suite, and those of its
// updates and its security updates, as far as there are such. mirror is the URL of the archive;
// empty: Debian's. Of a mirror the security suite is looked for beside it (debian-security
// beside debian), else at security.debian.org. One that cannot be reached is in missing, with
// the reason; the suite of the release itself has to be there.
func (a Archives) Suites(ctx context.Context, mirror, name string) (suites []Suite, missing []error, err error) {
	keys, err := a.keys()
	if err != nil {
		return nil, nil, err
	}
	if err := checkWord("suite", name); err != nil {
		return nil, nil, err
	}
	if mirror != "" && !ValidMirror(mirror) {
		return nil, nil, banger.Errorf(banger.CodeInvalid, "cannot read Debian suite %s: %q cannot be a mirror", name, mirror).
			WithHint("a mirror is a URL such as http://deb.debian.org/debian")
	}
	base := a.mirror(mirror)
	main, err := a.open(ctx, keys, base, name)
	if errors.Is(err, errAbsent) {
		return nil, nil, banger.Errorf(banger.CodeNotFound, "cannot read Debian suite %s: mirror %s does not have it", name, base).
			WithHint("check the suite and the mirror; Debian's are listed at https://www.debian.org/releases/")
	}
	if err != nil {
		return nil, nil, err
	}
	suites = append(suites, main)
	for _, s := range []struct {
		name string
		urls []string
	}{
		{name + "-updates", []string{base}},
		{name + "-security", a.securityOf(base)},
	} {
		found, err := a.openFirst(ctx, keys, s.urls, s.name)
		switch {
		case err == nil:
			suites = append(suites, found)
		case ctx.Err() != nil:
			return nil, nil, context.Cause(ctx)
		case banger.CodeOf(err) == banger.CodeUnavailable:
			missing = append(missing, err)
		case !errors.Is(err, errAbsent): // a wrong signature is not the same as none
			return nil, nil, err
		}
	}
	return suites, missing, nil
}

// securityOf returns where the security suites of a mirror may be, the nearest first.
func (a Archives) securityOf(base string) []string {
	if base == a.mirror("") {
		return []string{a.security()}
	}
	urls := []string{a.security()}
	if i := strings.LastIndex(base+"/", "/debian/"); i >= 0 { // also that of snapshot.debian.org
		urls = append([]string{base[:i] + "/debian-security" + base[i+len("/debian"):]}, urls...)
	}
	return append([]string{base}, urls...)
}

// openFirst opens the first of the suites that is there.
func (a Archives) openFirst(ctx context.Context, keys openpgp.EntityList, urls []string, name string) (s Suite, err error) {
	unreached := error(nil)
	for _, url := range urls {
		if s, err = a.open(ctx, keys, url, name); err == nil {
			return s, nil
		}
		switch {
		case banger.CodeOf(err) == banger.CodeUnavailable:
			unreached = err
		case !errors.Is(err, errAbsent):
			return s, err
		}
	}
	if unreached != nil {
		return s, unreached
	}
	return s, err
}

// open reads what a suite has.
func (a Archives) open(ctx context.Context, keys openpgp.EntityList, url, name string) (Suite, error) {
	s := Suite{URL: url, Name: name}
	path := url + "/dists/" + name + "/InRelease"
	data, err := a.get(ctx, path, maxReleaseBytes)
	if err == nil {
		s.release, err = readRelease(data, keys, name, time.Now())
		if err != nil {
			err = fmt.Errorf("cannot use %s: %w", path, err)
		}
	}
	return s, err
}

// keyringPatterns are where the keys of a host are that it trusts to sign packages:
// debian-archive-keyring's, on whatever host, and those of apt(8).
func keyringPatterns() []string {
	return []string{
		"/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp",
		"/etc/apt/trusted.gpg.d/*.gpg", "/etc/apt/trusted.gpg.d/*.asc",
	}
}

// keys returns the keys that may sign.
func (a Archives) keys() (openpgp.EntityList, error) {
	paths := a.Keyrings
	if paths == nil {
		for _, pattern := range keyringPatterns() {
			found, err := filepath.Glob(pattern)
			if err != nil {
				return nil, err
			}
			paths = append(paths, found...)
		}
	}
	var all openpgp.EntityList
	for _, path := range paths {
		keys, err := readKeyring(path)
		if err != nil && a.Keyrings != nil {
			return nil, err
		}
		all = append(all, keys...) // another's broken keyring is no reason to fail
	}
	if len(all) == 0 {
		return nil, banger.Errorf(banger.CodeMissing, "cannot verify packages: this host has no key of Debian").
			WithHint("apt-get install debian-archive-keyring")
	}
	return all, nil
}

func readKeyring(path string) (openpgp.EntityList, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if strings.HasSuffix(path, ".asc") {
		return openpgp.ReadArmoredKeyRing(f)
	}
	return openpgp.ReadKeyRing(f)
}

// checkWord refuses what could be more than a name in a URL.
func checkWord(what, s string) error {
	bad := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !slices.Contains([]rune("-.+~"), c)
	}
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' || strings.ContainsFunc(s, bad) {
		return banger.Errorf(banger.CodeInvalid, "cannot read Debian archive: %.100q cannot be a %s", s, what)
	}
	return nil
}

// ValidMirror wants a plain URL: anything with a space would be a line of sources.list(5) to
// mmdebstrap(1), with options such as trusted=yes.
func ValidMirror(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"'\$`, c) >= 0 {
			return false
		}
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && u.Fragment == ""
}
