//go:build !unit

package sshhost_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/sshhost"
)

// visit is a user with a key and a server that takes it, called box, whose host key
// the user does not know.
func visit(t *testing.T, lines []string, keyTypes ...string) (*visitor, *server) {
	t.Helper()
	u, s := newUser(t), newServer(t, lines, keyTypes...)
	s.authorize(t, u.key(t, "id_ed25519"))
	u.configure(t, s.block("box"))
	return u, s
}

func TestHostKey_UnknownIsAskedForAndThenRemembered(t *testing.T) {
	t.Parallel()
	for _, hashed := range []bool{false, true} {
		t.Run(fmt.Sprint("hashed ", hashed), func(t *testing.T) {
			t.Parallel()
			u, s := visit(t, nil)
			file := filepath.Join(u.home, "new folder", "known_hosts")
			lines := []string{"UserKnownHostsFile \"" + file + "\""}
			if hashed {
				lines = append(lines, "HashKnownHosts yes")
			}
			u.configure(t, s.block("box", lines...))
			q := u.wantAsked(t, "box", none())
			fingerprint := ssh.FingerprintSHA256(s.publicKey(t, "ed25519"))
			want := sshhost.Question{Kind: sshhost.AskHostKey, Subject: "[127.0.0.1]:" + s.port, Fingerprint: fingerprint, KeyType: "ssh-ed25519"}
			if q != want {
				t.Errorf("asked %+v, want %+v", q, want)
			}
			if _, err := os.Stat(file); err == nil {
				t.Error("the key was remembered before it was accepted")
			}
			u.wantIn(t, "box", sshhost.Answers{HostKeys: []string{"SHA256:other", fingerprint}})
			u.wantIn(t, "box", none())
			for path, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700 | os.ModeDir} {
				if info, err := os.Stat(path); err != nil || info.Mode() != mode {
					t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, mode)
				}
			}
			content := readFile(t, file)
			if strings.Count(content, "\n") != 1 || strings.HasPrefix(content, "|1|") != hashed || strings.Contains(content, s.port) == hashed {
				t.Errorf("known_hosts is %q", content)
			}
			keygen(t, "-f", file, "-F", "["+s.host+"]:"+s.port) // OpenSSH finds it, too
		})
	}
}

func TestHostKey_WrongAnswerIsNone(t *testing.T) {
	t.Parallel()
	u, _ := visit(t, nil)
	u.wantAsked(t, "box", sshhost.Answers{HostKeys: []string{"SHA256:other", ""}})
}

func TestHostKey_AppendedBehindALineWithoutEnd(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	other := newServer(t, nil)
	writeFile(t, u.knownHosts(), strings.TrimSpace(other.knownLine(t, other.hostKeys["ed25519"])))
	q := u.wantAsked(t, "box", none())
	u.wantIn(t, "box", sshhost.Answers{HostKeys: []string{q.Fingerprint}})
	for _, known := range []*server{s, other} {
		keygen(t, "-f", u.knownHosts(), "-F", "["+known.host+"]:"+known.port)
	}
}

func TestHostKey_ChangedIsRefusedWhateverWasAnswered(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"ask", "yes", "no", "accept-new"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			u, s := visit(t, nil)
			u.configure(t, s.block("box", "StrictHostKeyChecking "+policy))
			before := "# a comment\n" + s.knownLine(t, u.file("id_ed25519"))
			writeFile(t, u.knownHosts(), before)
			fingerprint := ssh.FingerprintSHA256(s.publicKey(t, "ed25519"))
			u.wantRefused(t, "box", sshhost.Answers{HostKeys: []string{fingerprint}}, banger.CodeInvalid,
				"has changed", u.knownHosts()+":2", fingerprint)
			if after := readFile(t, u.knownHosts()); after != before {
				t.Errorf("known_hosts is now %q", after)
			}
		})
	}
}

// The line has another number than in the copy without foreign lines, if they were left out.
func TestHostKey_ForeignLinesDoNotMatter(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	foreign := "box 1024 35 12345\nbox ssh-unheard-of AAAA\n@unheard-of box ssh-rsa AAAA\n"
	writeFile(t, u.knownHosts(), foreign+s.knownLine(t, s.hostKeys["ed25519"]))
	u.wantIn(t, "box", none())
	writeFile(t, u.knownHosts(), foreign+s.knownLine(t, u.file("id_ed25519")))
	u.wantRefused(t, "box", none(), banger.CodeInvalid, "has changed", u.knownHosts()+":4")
}

// What OpenSSH passes over costs no other host anything, whatever is wrong with it.
func TestHostKey_BadLinesAndFilesCostNoOtherHost(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	key := strings.TrimSpace(readFile(t, s.hostKeys["ed25519"]+".pub"))
	unreadable := filepath.Join(u.home, "a directory")
	pipe := filepath.Join(u.home, "pipe")
	if err := errors.Join(os.Mkdir(unreadable, 0o700), syscall.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	u.configure(t, s.block("box", `UserKnownHostsFile "`+unreadable+`" `+pipe+" /dev/null "+u.knownHosts()))
	for what, line := range map[string]string{
		"an unknown marker": "@some-marker * " + key,
		"two markers":       "@revoked @cert-authority * " + key,
		"a bad hash":        "|1|notbase64|alsonot= " + key,
		"a hash of another": "|9|AAAA|AAAA " + key,
		"a long line":       strings.Repeat("x", 2<<20) + " " + key,
		"no key":            "*",
		"an open bracket":   "[box:22 " + key,
		"a bare negation":   "! " + key,
		"garbage":           "this is no line",
		"NUL":               "box\x00 " + key,
	} {
		writeFile(t, u.knownHosts(), line+"\r\n"+s.knownLine(t, s.hostKeys["ed25519"]))
		if client, err := u.dial(t, "box", none()); err != nil {
			t.Errorf("%s: %v", what, err)
		} else {
			client.Close()
		}
	}
}

// As ssh does it: the key of a host at port 22 is good for its other ports, a revocation
// is for the hosts it names, and a CR at the end of a line is none of the key's.
func TestHostKey_MeansWhatItMeansToOpenSSH(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	key := strings.TrimSpace(readFile(t, s.hostKeys["ed25519"]+".pub"))
	kind, blob, _ := strings.Cut(key, " ")
	blob, _, _ = strings.Cut(blob, " ")
	for _, lines := range []string{
		"127.0.0.1 " + key + "\n",
		s.knownLine(t, s.hostKeys["ed25519"]) + "@revoked other.example.com " + key + "\n",
		"[127.0.0.1]:" + s.port + " " + kind + " " + blob + "\r\n",
	} {
		writeFile(t, u.knownHosts(), lines)
		u.wantIn(t, "box", none())
	}
}

func TestHostKey_StrictCheckingAddsNothing(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	u.configure(t, s.block("box", "StrictHostKeyChecking yes"))
	u.wantRefused(t, "box", sshhost.Answers{HostKeys: []string{ssh.FingerprintSHA256(s.publicKey(t, "ed25519"))}},
		banger.CodeInvalid, "StrictHostKeyChecking")
	u.knows(t, s)
	u.wantIn(t, "box", none())
}

func TestHostKey_AcceptNewAsksNobody(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	u.configure(t, s.block("box", "StrictHostKeyChecking accept-new"))
	u.wantIn(t, "box", none())
	if !strings.Contains(readFile(t, u.knownHosts()), s.port) {
		t.Error("the key is not remembered")
	}
}

func TestHostKey_KnownTypeIsAskedForFirst(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rsa", "ecdsa", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			u, s := visit(t, nil, "ed25519", "ecdsa", "rsa")
			writeFile(t, u.knownHosts(), s.knownLine(t, s.hostKeys[kind]))
			u.wantIn(t, "box", none())
		})
	}
}

func TestHostKey_AliasStandsForTheHost(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	u.configure(t, s.block("box", "HostKeyAlias The-Alias"))
	writeFile(t, u.knownHosts(), "the-alias "+readFile(t, s.hostKeys["ed25519"]+".pub"))
	u.wantIn(t, "box", none())
}

// ssh takes an alias as it is, whatever it looks like.
func TestHostKey_AliasMayHaveAPort(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	u.configure(t, s.block("box", "HostKeyAlias [the-alias]:2222"))
	writeFile(t, u.knownHosts(), "[the-alias]:2222 "+readFile(t, s.hostKeys["ed25519"]+".pub"))
	u.wantIn(t, "box", none())
	writeFile(t, u.knownHosts(), "")
	q := u.wantAsked(t, "box", none())
	u.wantIn(t, "box", sshhost.Answers{HostKeys: []string{q.Fingerprint}})
	u.wantIn(t, "box", none())
}

func TestHostKey_RevokedIsRefused(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	key := s.hostKeys["ed25519"]
	writeFile(t, u.knownHosts(), s.knownLine(t, key)+"@revoked * "+readFile(t, key+".pub"))
	u.wantRefused(t, "box", none(), banger.CodeInvalid, "revoked", u.knownHosts()+":2")
}

// certified is a visit to a server with a host certificate for a name.
func certified(t *testing.T, name string, options ...string) (u *visitor, s *server, authority string) {
	t.Helper()
	dir := t.TempDir()
	certificate := filepath.Join(dir, "host-cert.pub")
	u, s = visit(t, []string{"HostCertificate " + certificate}, "rsa")
	authority = makeKey(t, filepath.Join(dir, "ca"), "ed25519", "")
	args := append([]string{"-q", "-s", authority, "-I", "box", "-h", "-n", name}, options...)
	keygen(t, append(args, s.hostKeys["rsa"]+".pub")...)
	if err := os.Rename(s.hostKeys["rsa"]+"-cert.pub", certificate); err != nil {
		t.Fatal(err)
	}
	return u, s, authority
}

func TestHostKey_CertificateOfAnAuthority(t *testing.T) {
	t.Parallel()
	u, s, authority := certified(t, "127.0.0.1")
	for _, pattern := range []string{"[127.0.0.1]:" + s.port, "*", "127.*"} {
		writeFile(t, u.knownHosts(), "@cert-authority "+pattern+" "+readFile(t, authority+".pub"))
		u.wantIn(t, "box", none())
	}
	t.Run("for others", func(t *testing.T) {
		writeFile(t, u.knownHosts(), "@cert-authority *.example.com "+readFile(t, authority+".pub"))
		u.wantAsked(t, "box", none())
	})
	t.Run("revoked", func(t *testing.T) {
		ca := readFile(t, authority+".pub")
		writeFile(t, u.knownHosts(), "@cert-authority * "+ca+"@revoked * "+ca)
		u.wantRefused(t, "box", none(), banger.CodeInvalid, "revoked", u.knownHosts()+":2")
	})
	t.Run("with the key of a revoked host", func(t *testing.T) {
		writeFile(t, u.knownHosts(), "@cert-authority * "+readFile(t, authority+".pub")+"@revoked * "+readFile(t, s.hostKeys["rsa"]+".pub"))
		u.wantRefused(t, "box", none(), banger.CodeInvalid, "revoked", u.knownHosts()+":2")
	})
}

func TestHostKey_CertificateThatIsNotValidIsAPlainKey(t *testing.T) {
	t.Parallel()
	for what, options := range map[string][]string{"another.example.com": nil, "127.0.0.1": {"-V", "20200101:20200102"}} {
		u, s, authority := certified(t, what, options...)
		ca := "@cert-authority * " + readFile(t, authority+".pub")
		writeFile(t, u.knownHosts(), ca)
		if q := u.wantAsked(t, "box", none()); q.KeyType != "ssh-rsa" {
			t.Errorf("asked %+v", q)
		}
		writeFile(t, u.knownHosts(), ca+s.knownLine(t, s.hostKeys["rsa"]))
		u.wantIn(t, "box", none())
	}
}

// What an authority signs with is not the key of a host.
func TestHostKey_AuthorityIsNoHost(t *testing.T) {
	t.Parallel()
	u, s := visit(t, nil)
	writeFile(t, u.knownHosts(), "@cert-authority * "+readFile(t, s.hostKeys["ed25519"]+".pub"))
	u.wantAsked(t, "box", none())
}
