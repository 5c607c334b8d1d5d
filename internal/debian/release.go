package debian

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"banger"
)

// maxReleaseBytes bounds an InRelease file; that of trixie has 140 KiB.
const maxReleaseBytes = 8 << 20

// fileSum is what a release says of one of its files.
type fileSum struct {
	sha256 string // in hexadecimal digits
	size   int64
}

// release is what a suite says of itself.
type release struct {
	byHash bool               // files are also there by their digests
	files  map[string]fileSum // by their paths from the suite's directory
}

// readRelease verifies and reads the InRelease file of a suite.
func readRelease(data []byte, keys openpgp.EntityList, suite string, now time.Time) (release, error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return release{}, banger.Errorf(banger.CodeCorrupt, "it is not signed").WithHint("use a mirror of Debian")
	}
	if _, err := block.VerifySignature(keys, nil); err != nil {
		return release{}, banger.Errorf(banger.CodeCorrupt, "its signature is not by a key that this host trusts: %w", err).
			WithHint("install the keys of the release, for Debian: apt-get install debian-archive-keyring")
	}
	r := release{files: map[string]fileSum{}}
	fields := map[string]string{}
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(block.Plaintext))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, " ") {
			if words := strings.Fields(line); section == "SHA256" && len(words) == 3 {
				size, err := strconv.ParseInt(words[1], 10, 64)
				if err != nil || size < 0 {
					return r, banger.Errorf(banger.CodeCorrupt, "it says %.100q of a file", line)
				}
				r.files[words[2]] = fileSum{sha256: words[0], size: size}
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		section = key
		fields[key] = strings.TrimSpace(value)
	}
	r.byHash = fields["Acquire-By-Hash"] == "yes"
	return r, checkRelease(fields, suite, now)
}

// checkRelease refuses another suite, and one that is out of date: both are signed.
func checkRelease(fields map[string]string, suite string, now time.Time) error {
	if fields["Suite"] != suite && fields["Codename"] != suite {
		return banger.Errorf(banger.CodeCorrupt, "it is that of suite %s (%s)", fields["Suite"], fields["Codename"])
	}
	until := fields["Valid-Until"]
	if until == "" {
		return nil
	}
	end, err := time.Parse("Mon, 02 Jan 2006 15:04:05 MST", until)
	if err != nil {
		return fmt.Errorf("it is valid until %.100q: %w", until, err)
	}
	if now.After(end) {
		return banger.Errorf(banger.CodeUnavailable, "it was valid until %s: the mirror is out of date, or this host's clock is wrong", until).
			WithHint("check the clock, or name another mirror with --mirror")
	}
	return nil
}
