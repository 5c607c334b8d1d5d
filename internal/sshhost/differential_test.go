//go:build !unit

package sshhost

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// How often the generators run in go test; scripts/fuzz continues from there.
const (
	generatedFiles   = 60
	generatedTargets = 120
)

// pool are parts of generated text, of which one is picked.
type pool []string

func (p pool) pick(r *rand.Rand) string { return p[r.IntN(len(p))] }

// testKey returns the blob of a key of a kind that has nothing but a number.
func testKey(kind string, number byte) string {
	blob := ssh.Marshal(struct{ Kind, Key string }{kind, string(bytes.Repeat([]byte{number}, 32))})
	switch kind {
	case ssh.KeyAlgoRSA:
		blob = ssh.Marshal(struct{ Kind, E, N string }{kind, "\x01\x00\x01", "\x00" + string(bytes.Repeat([]byte{0xc1, number}, []int{64, 128, 600}[number]))})
	case ssh.KeyAlgoECDSA256:
		private, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{number + 1}, 32))
		if err != nil {
			panic(err)
		}
		blob = ssh.Marshal(struct{ Kind, Curve, Point string }{kind, "nistp256", string(private.PublicKey().Bytes())})
	}
	return base64.StdEncoding.EncodeToString(blob)
}

// hostNames are looked up in each file.
var hostNames = pool{"box", "Box", "box.example.com", "[box]:2222", "[127.0.0.1]:22976", "fe80::1%lo", "[fe80::1%lo]:2222", "box.", "bücher", "127.0.0.1"}

// generateKnownHosts returns a file of known_hosts with lines of all sorts.
func generateKnownHosts(r *rand.Rand) string {
	kinds := pool{"ssh-ed25519", "ssh-ed25519", "ssh-ed25519", "ssh-rsa", "rsa-sha2-256", "rsa-sha2-512", "ecdsa-sha2-nistp256", "ssh-unheard-of", "1024", "", "SSH-ED25519", "ssh-ed25519-cert-v01@openssh.com"}
	markers := pool{"", "", "", "", "@cert-authority ", "@revoked ", "@cert-authority\t", "@revoked  ", "@some-marker ", "@", "@cert-authority @revoked ", "# ", " ", "\t", "@a-marker-that-is-longer-than-any-there-is "}
	blanks := pool{" ", " ", " ", "\t", "  ", " \t", ""}
	ends := pool{"\n", "\n", "\n", "\r\n", " comment\n", " # comment\n", "\n\n", "\t\n", "\x00x\n", "\xff\n"}
	name := func() string {
		plain := hostNames.pick(r)
		switch r.IntN(12) {
		case 0:
			return "*"
		case 1:
			return "!" + plain
		case 2:
			return "*" + plain[len(plain)/2:]
		case 3:
			return plain[:len(plain)/2] + "*"
		case 4:
			return "?" + plain[1:]
		case 5:
			return strings.ToUpper(plain)
		case 6:
			return ""
		case 7:
			return strings.Repeat("x", 1020+r.IntN(6)) + "*"
		}
		return plain
	}
	var file strings.Builder
	for range 1 + r.IntN(12) {
		kind := kinds.pick(r)
		key := testKey(plainKind(kind), byte(r.IntN(3)))
		switch r.IntN(16) {
		case 0:
			key = testKey("ssh-rsa", 1)
		case 1:
			key = key[:len(key)-1-r.IntN(8)]
		case 2:
			key = "not base64"
		case 3:
			key += "AAAA"
		case 4:
			key = ""
		}
		names := name()
		for range r.IntN(3) {
			names += "," + name()
		}
		switch r.IntN(8) {
		case 0, 1:
			names = hashName(hostNames.pick(r), bytes.Repeat([]byte{byte(r.IntN(256))}, 20))
		case 2:
			names = pool{"|1|notbase64|alsonot=", "|1|AAAA|BBBB", "|2|x|y", "|", "|1|", "|1||", hashName("box", []byte("short")), hashName("box", make([]byte, 20)) + ",box"}.pick(r)
		}
		file.WriteString(markers.pick(r) + names + blanks.pick(r) + kind + blanks.pick(r) + key + ends.pick(r))
	}
	if r.IntN(10) == 0 {
		file.WriteString(strings.Repeat("x", 70_000) + " ssh-ed25519 " + testKey("ssh-ed25519", 0) + "\n")
	}
	if r.IntN(4) == 0 {
		file.WriteString("box ssh-ed25519 " + testKey("ssh-ed25519", 1)) // without an end
	}
	return file.String()
}

var foundLine = regexp.MustCompile(`(?m)^# Host .* found: line ([0-9]+) ?(CA|REVOKED)?`)

// openSSHFinds returns the lines of a file that ssh-keygen has understood and found a host in.
func openSSHFinds(t *testing.T, file, name string) (lines []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-l", "-F", name, "-f", file).Output()
	if _, none := errors.AsType[*exec.ExitError](err); err != nil && !none {
		t.Fatal(err)
	}
	for _, m := range foundLine.FindAllStringSubmatch(string(out), -1) {
		lines = append(lines, m[1]+m[2])
	}
	return lines
}

// Every line of known_hosts means to us what it means to OpenSSH: what it passes over costs
// no other host anything.
func FuzzKnownHosts_MeanWhatTheyMeanToOpenSSH(f *testing.F) {
	for seed := range uint64(generatedFiles) {
		f.Add(seed, "")
	}
	f.Add(uint64(0), "box ssh-ed25519 "+testKey("ssh-ed25519", 7)+"\r")
	f.Fuzz(func(t *testing.T, seed uint64, line string) {
		r := rand.New(rand.NewPCG(seed, 1))
		text := generateKnownHosts(r)
		if line != "" {
			text = line + "\n" + text
		}
		file := filepath.Join(t.TempDir(), "known_hosts")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names := []string{"box"}
		for range 3 {
			names = append(names, hostNames.pick(r))
		}
		for _, name := range names {
			var got []string
			for _, k := range knownKeys([]string{file}, name) {
				marker := map[string]string{authorityMarker: "CA", revokedMarker: "REVOKED"}[k.marker]
				got = append(got, fmt.Sprint(k.line)+marker)
			}
			if want := openSSHFinds(t, file, name); strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s is found in lines %v, by ssh-keygen in %v, of\n%q", name, got, want, strings.SplitAfter(text, "\n"))
			}
		}
	})
}

// generateTarget returns what somebody may type behind ssh. A host with a colon is none:
// there the port follows, which ssh takes in an option.
func generateTarget(r *rand.Rand) string {
	users := pool{"", "", "me", `CORP\jane`, `CORP\`, "a b", "a -b", "a@b", "-x", "$x", "ü", "a'b", `a"b`, "a;b", "a|b", "a#b", "a,b", "a\tb", "a\x01b", "%h", "x%41", "a{b", "@", "\xff"}
	hosts := pool{"box", "BOX", "box.", "..", "a_b", "a/b", "a%b", "a%h", "-box", "a b", "a;b", "a`b", "a\\b", "$box", "ü", "a*b", "a!b", "#a", "10.0.0.1", "box\n", "", "::1", "fe80::1%lo", "FE80::1%LO", "a~b", "a^b", "a=b", "work-db"}
	user, host := users.pick(r), hosts.pick(r)
	if user != "" {
		host = user + "@" + host
	}
	if r.IntN(4) == 0 && !strings.ContainsAny(host, ":/") {
		host = "ssh://" + host + pool{"", "/", ":2222", ":0", ":65536", ":ssh", "/x"}.pick(r)
	}
	return host
}

// Who is logged in to, as whom and at which port, is what ssh -G says of the same words, and
// what ssh refuses is refused.
func FuzzTarget_MeansWhatItMeansToOpenSSH(f *testing.F) {
	for seed := range uint64(generatedTargets) {
		f.Add(generateTarget(rand.New(rand.NewPCG(seed, 2))))
	}
	config := filepath.Join(f.TempDir(), "config")
	if err := os.WriteFile(config, []byte("Host work-db\n HostName db.example.com\n User dba\n Port 77\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if plain := strings.TrimPrefix(text, "ssh://"); strings.ContainsRune(text, 0) || len(text) > 300 || strings.Contains(plain, "[") ||
			plain == text && strings.Count(text, ":") == 1 || text == "" || strings.HasSuffix(text, "@") {
			return // no argument of ssh, without a host, or with a port that ssh does not take there
		}
		want, wantErr := runSSH(t.Context(), []string{"-F", config, "-G", "--", text})
		if name := parseSettings(want).get("hostname"); strings.ContainsRune(name, ':') && !isIPv6(name) {
			return // ssh looks it up in vain; here the error is about the port that was meant
		}
		got := ""
		target, err := ParseTarget(text)
		if err == nil {
			var r *Resolved
			if r, err = (&Dialer{ConfigFile: config}).Resolve(t.Context(), target); err == nil {
				got = fmt.Sprintf("%s at %s port %d", r.User, r.HostName, r.Port)
			}
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: %v; ssh says %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		s := parseSettings(want)
		if want := fmt.Sprintf("%s at %s port %s", s.get("user"), s.get("hostname"), s.get("port")); got != want {
			t.Errorf("%q is %s; ssh says %s", text, got, want)
		}
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("%q is %+v, written as %q, and then %+v, %v", text, target, target, again, err)
		}
	})
}
