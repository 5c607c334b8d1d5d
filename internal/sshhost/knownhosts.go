package sshhost

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// Limits of known_hosts files. ssh has none.
const (
	maxKnownHosts = 256 << 20 // of one file; the rest is not read
	maxKnownLine  = 1 << 20   // of one line; a longer one is passed over
)

// A line of known_hosts may begin with one of these; sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
const (
	authorityMarker = "@cert-authority"
	revokedMarker   = "@revoked"
)

// knownKey is a line of a known_hosts file that is about one host.
type knownKey struct {
	file   string
	line   int           // from 1
	marker string        // authorityMarker, revokedMarker or ""
	kind   string        // what the line calls the key's type
	blob   []byte        // the key as in RFC 4253, section 6.6
	key    ssh.PublicKey // nil if x/crypto does not know the kind of key
}

// is reports whether the line has this key.
func (k knownKey) is(key ssh.PublicKey) bool { return bytes.Equal(k.blob, key.Marshal()) }

// knownKeys returns what the files have about a host, whose name is as known_hosts has it:
// [name]:port where the port is not 22. The files are read as hostfile.c of OpenSSH reads
// them: a file that cannot be read counts as empty, and a line that is not understood is
// passed over. The differential test compares it with ssh-keygen -F.
func knownKeys(paths []string, name string) (found []knownKey) {
	for i, path := range paths {
		if !slices.Contains(paths[:i], path) {
			found = append(found, knownKeysIn(path, name)...)
		}
	}
	return found
}

func knownKeysIn(path, name string) (found []knownKey) {
	// A pipe that nobody writes to must not block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	lines := bufio.NewReaderSize(io.LimitReader(f, maxKnownHosts), 64<<10)
	for n := 1; ; n++ {
		line, err := readKnownLine(lines)
		if k, ok := parseKnownLine(line, name); ok {
			k.file, k.line = path, n
			found = append(found, k)
		}
		if err != nil {
			return found
		}
	}
}

// readKnownLine returns the next line without its end, or nothing of one that is too long.
func readKnownLine(r *bufio.Reader) (line []byte, err error) {
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > maxKnownLine; !tooLong {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if tooLong {
			line = nil
		}
		return bytes.TrimSuffix(line, []byte("\n")), err
	}
}

const blanks = " \t"

// parseKnownLine reads a line if it is about a host. For OpenSSH it ends at a NUL.
func parseKnownLine(text []byte, name string) (k knownKey, ok bool) {
	text, _, _ = bytes.Cut(text, []byte{0})
	line := strings.TrimLeft(string(text), blanks)
	if line == "" || line[0] == '#' {
		return k, false
	}
	if line[0] == '@' {
		// OpenSSH looks for the first blank, and only without any for a tab.
		end := strings.IndexByte(line, ' ')
		if end < 0 {
			end = strings.IndexByte(line, '\t')
		}
		if end < 0 {
			return k, false
		}
		k.marker, line = line[:end], strings.TrimLeft(line[end:], blanks)
		if k.marker != authorityMarker && k.marker != revokedMarker || strings.HasPrefix(line, "@") {
			return k, false
		}
	}
	names, rest := cutBlanks(line)
	if !matchesNames(name, names) {
		return k, false
	}
	kind, rest := cutBlanks(rest)
	encoded, _ := cutBlanks(rest)
	k.kind = kind
	k.blob, ok = decodeKey(kind, encoded)
	if ok {
		k.key, _ = ssh.ParsePublicKey(k.blob)
	}
	return k, ok
}

// cutBlanks returns the first word and what is behind the blanks after it.
func cutBlanks(s string) (word, rest string) {
	end := strings.IndexAny(s, blanks)
	if end < 0 {
		return s, ""
	}
	return s[:end], strings.TrimLeft(s[end:], blanks)
}

// decodeKey returns a key if it is of the kind that its line says.
func decodeKey(kind, encoded string) (blob []byte, ok bool) {
	// b64_pton(3) passes over white space: a line may end in CR.
	encoded = strings.NewReplacer("\r", "", "\v", "", "\f", "").Replace(encoded)
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(blob) < 4 {
		return nil, false
	}
	var inside struct {
		Kind string
		Rest []byte `ssh:"rest"`
	}
	if ssh.Unmarshal(blob, &inside) != nil || inside.Kind != plainKind(kind) {
		return nil, false
	}
	if _, err := ssh.ParsePublicKey(blob); err != nil && !isLongRSA(blob) {
		return nil, false
	}
	return blob, true
}

// isLongRSA reports whether a key is of RSA with more bits than x/crypto takes: no host can
// prove itself with it to us, but it reports that the host has another key than one it shows.
func isLongRSA(blob []byte) bool {
	var k struct {
		Kind string
		E, N *big.Int
	}
	return ssh.Unmarshal(blob, &k) == nil && k.Kind == ssh.KeyAlgoRSA && k.N.BitLen() > maxRSABits && k.N.BitLen() <= maxSSHBits
}

// The most bits of an RSA key for x/crypto, and for OpenSSH.
const (
	maxRSABits = 8192
	maxSSHBits = 16384
)

// plainKind is the type of key that a line's word for it stands for: the names of
// signatures by RSA, RFC 8332, mean its keys.
func plainKind(kind string) string {
	switch kind {
	case ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
		return ssh.KeyAlgoRSA
	case ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSASHA512v01:
		return ssh.CertAlgoRSAv01
	}
	return kind
}

// hashMagic begins the names of a line that are hashed.
const hashMagic = "|1|"

// matchesNames reports whether a host is among the names of a line.
func matchesNames(name, names string) bool {
	if !strings.HasPrefix(names, "|") {
		return matchesPatterns(lower(name), lower(names))
	}
	salt, _, ok := strings.Cut(strings.TrimPrefix(names, hashMagic), "|")
	if !ok || !strings.HasPrefix(names, hashMagic) {
		return false
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	return err == nil && len(raw) == sha1.Size && names == hashName(name, raw)
}

// hashName is a host's name as HashKnownHosts writes it.
func hashName(name string, salt []byte) string {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hashMagic + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// maxPattern is the length from which on OpenSSH gives a line's names up.
const maxPattern = 1023

// matchesPatterns is match_pattern_list of OpenSSH: one must match, and none that is negated.
func matchesPatterns(name, list string) (matches bool) {
	for list != "" {
		var pattern string
		pattern, list, _ = strings.Cut(list, ",")
		pattern, negated := strings.CutPrefix(pattern, "!")
		if len(pattern) >= maxPattern {
			return false
		}
		if !matchesPattern(name, pattern) {
			continue
		}
		if negated {
			return false
		}
		matches = true
	}
	return matches
}

// matchesPattern knows * and ?, byte by byte; PATTERNS in ssh_config(5). It takes at most
// the product of both lengths.
func matchesPattern(s, pattern string) bool {
	star, resume := -1, 0 // the last * and where what it stands for ends
	i, p := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			i++
			p++
		case star >= 0:
			resume++
			i, p = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// lower is tolower(3) of the C locale, byte by byte: other letters stay as they are.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
