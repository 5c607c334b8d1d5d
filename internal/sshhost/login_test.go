//go:build !unit

package sshhost_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/sshhost"
)

// known is a user and a server, called box, whose host key is known. It lets nobody in yet.
func known(t *testing.T, lines ...string) (*visitor, *server) {
	t.Helper()
	u, s := newUser(t), newServer(t, lines)
	u.knows(t, s)
	u.configure(t, s.block("box"))
	return u, s
}

func TestLogin_DefaultKeys(t *testing.T) {
	t.Parallel()
	for kind, name := range map[string]string{"ed25519": "id_ed25519", "ecdsa": "id_ecdsa", "rsa": "id_rsa"} {
		u, s := known(t)
		s.authorize(t, makeKey(t, u.file(name), kind, ""))
		u.wantIn(t, "box", none())
	}
}

func TestLogin_ConfiguredKeys(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	u.key(t, "other")
	s.authorize(t, u.key(t, "key for root"))
	u.configure(t, s.block("box", `IdentityFile "~/.ssh/other"`, `IdentityFile "%d/.ssh/key for %r"`))
	u.wantIn(t, "box", none())
}

func TestLogin_IdentityOfTheTarget(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	key := makeKey(t, filepath.Join(u.home, `100% "odd" \ key`), "ed25519", "")
	s.authorize(t, key)
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	client, err := u.Dial(ctx, sshhost.Target{Host: "box", IdentityFile: key}, none())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wantCommand(t, client)

	missing := filepath.Join(u.home, "missing")
	_, err = u.Dial(ctx, sshhost.Target{Host: "box", IdentityFile: missing}, none())
	wantError(t, err, banger.CodeMissing, missing, "no such file")
	_, err = u.Dial(ctx, sshhost.Target{Host: "box", IdentityFile: "id"}, none())
	wantError(t, err, banger.CodeInvalid, "absolute")
}

func TestLogin_AgentHoldsTheKey(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	for _, kind := range []string{"ed25519", "rsa"} {
		key := makeKey(t, filepath.Join(t.TempDir(), kind), kind, "")
		s.authorize(t, key)
		u.configure(t, s.block("box", "IdentityAgent "+startAgent(t, key)))
		u.wantIn(t, "box", none())
		u.AgentSocket = startAgent(t, key)
		u.configure(t, s.block("box", "IdentityAgent SSH_AUTH_SOCK"))
		u.wantIn(t, "box", none())
		u.AgentSocket = "/nonexistent/agent"
		u.wantIn(t, "box", sshhost.Answers{AgentSocket: startAgent(t, key)})
		u.configure(t, s.block("box", "IdentityAgent none"))
		u.wantRefused(t, "box", none(), banger.CodeMissing, "no key to try")
	}
}

// Of the agent's keys only the configured one counts, by its public key.
func TestLogin_IdentitiesOnly(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	good, other := u.key(t, "good"), u.key(t, "other")
	s.authorize(t, good)
	socket := startAgent(t, other, good)
	for _, private := range []string{good, other} {
		if err := os.Remove(private); err != nil {
			t.Fatal(err)
		}
	}
	only := func(file string) string {
		return s.block("box", "IdentitiesOnly yes", "IdentityAgent "+socket, "IdentityFile "+file)
	}
	u.configure(t, only(good))
	u.wantIn(t, "box", none())
	u.configure(t, only(good+".pub"))
	u.wantIn(t, "box", none())
	u.configure(t, only(other))
	u.wantRefused(t, "box", none(), banger.CodeMissing, `agent key "other"`)
}

// A host that hangs up after a few keys gets the configured one first.
func TestLogin_ConfiguredKeysOfTheAgentGoFirst(t *testing.T) {
	t.Parallel()
	u, s := known(t, "MaxAuthTries 1")
	good := u.key(t, "good")
	s.authorize(t, good)
	socket := startAgent(t, u.key(t, "a"), u.key(t, "b"), good)
	u.configure(t, s.block("box", "IdentityAgent "+socket, "IdentityFile "+good))
	u.wantIn(t, "box", none())
	u.configure(t, s.block("box", "IdentityAgent "+socket))
	u.wantRefused(t, "box", none(), banger.CodeMissing, "too many keys", `agent key "a"`)
}

func TestLogin_PassphraseIsAskedFor(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	locked := makeKey(t, u.file("id_ed25519"), "ed25519", "open sesame")
	s.authorize(t, locked)
	want := sshhost.Question{Kind: sshhost.AskPassphrase, Subject: locked, KeyType: "ssh-ed25519"}
	q := u.wantAsked(t, "box", none())
	want.Fingerprint = q.Fingerprint
	if q != want || q.Fingerprint == "" {
		t.Errorf("asked %+v", q)
	}
	q = u.wantAsked(t, "box", sshhost.Answers{Passphrases: map[string]string{locked: "wrong"}})
	if want.Again = true; q != want {
		t.Errorf("after a wrong answer asked %+v", q)
	}
	u.wantIn(t, "box", sshhost.Answers{Passphrases: map[string]string{locked: "open sesame"}})
}

// The old format does not tell the public key.
func TestLogin_PassphraseOfAnOldFormat(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	locked := u.file("id_rsa")
	keygen(t, "-q", "-t", "rsa", "-m", "PEM", "-N", "open sesame", "-f", locked)
	s.authorize(t, locked)
	for range 2 {
		if q := u.wantAsked(t, "box", none()); q.Subject != locked {
			t.Errorf("asked %+v", q)
		}
		u.wantIn(t, "box", sshhost.Answers{Passphrases: map[string]string{locked: "open sesame"}})
		if err := os.RemoveAll(locked + ".pub"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLogin_PassphraseIsNotAskedForInVain(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	locked := makeKey(t, u.file("locked"), "ed25519", "open sesame")
	plain := u.key(t, "plain")
	u.configure(t, s.block("box", "IdentityFile "+locked, "IdentityFile "+plain))
	t.Run("the host would refuse the key", func(t *testing.T) {
		u.wantRefused(t, "box", none(), banger.CodeMissing, locked, plain)
	})
	t.Run("another key is enough", func(t *testing.T) {
		s.authorize(t, locked)
		s.authorize(t, plain)
		u.wantIn(t, "box", none())
	})
	t.Run("the agent has it", func(t *testing.T) {
		open := filepath.Join(t.TempDir(), "open")
		writeFile(t, open, readFile(t, locked))
		keygen(t, "-q", "-p", "-P", "open sesame", "-N", "", "-f", open)
		u.configure(t, s.block("box", "IdentityAgent "+startAgent(t, open), "IdentityFile "+locked))
		u.wantIn(t, "box", none())
	})
}

func TestLogin_Certificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := makeKey(t, filepath.Join(dir, "ca"), "ed25519", "")
	u, s := known(t, "TrustedUserCAKeys "+authority+".pub")
	sign := func(t *testing.T, key string) {
		keygen(t, "-q", "-s", authority, "-I", "me at home", "-n", "root", key+".pub")
	}
	t.Run("beside the default key", func(t *testing.T) {
		key := makeKey(t, u.file("id_rsa"), "rsa", "")
		u.wantRefused(t, "box", none(), banger.CodeMissing, key)
		sign(t, key)
		u.wantIn(t, "box", none())
		if err := os.Remove(key + "-cert.pub"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("in a CertificateFile", func(t *testing.T) {
		key := u.key(t, "work")
		sign(t, key)
		certificate := u.file("certificate")
		if err := os.Rename(key+"-cert.pub", certificate); err != nil {
			t.Fatal(err)
		}
		u.configure(t, s.block("box", "IdentityFile "+key, "CertificateFile ~/.ssh/certificate"))
		u.wantIn(t, "box", none())
		u.configure(t, s.block("box", "IdentityAgent "+startAgent(t, key), "CertificateFile "+certificate))
		u.wantIn(t, "box", none())
		u.configure(t, s.block("box", "IdentityFile "+key, "CertificateFile "+key))
		u.wantRefused(t, "box", none(), banger.CodeMissing, "certificate "+key, "key "+key)
	})
	t.Run("in the agent", func(t *testing.T) {
		key := makeKey(t, filepath.Join(dir, "away"), "ed25519", "")
		sign(t, key)
		u.configure(t, s.block("box", "IdentityAgent "+startAgent(t, key)))
		u.wantIn(t, "box", none())
	})
	t.Run("of a locked key", func(t *testing.T) {
		key := makeKey(t, u.file("locked"), "ed25519", "open sesame")
		sign(t, key)
		u.configure(t, s.block("box", "IdentityFile "+key))
		if q := u.wantAsked(t, "box", none()); q.Subject != key {
			t.Errorf("asked %+v", q)
		}
		u.wantIn(t, "box", sshhost.Answers{Passphrases: map[string]string{key: "open sesame"}})
	})
}

func TestLogin_FailureTellsWhatWasTried(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	wide, plain := u.key(t, "wide"), u.key(t, "plain")
	if err := os.Chmod(wide, 0o644); err != nil {
		t.Fatal(err)
	}
	s.authorize(t, wide)
	garbage := writeFile(t, u.file("garbage"), "no key\n")
	socket := startAgent(t, makeKey(t, filepath.Join(t.TempDir(), "in the agent"), "ed25519", ""))
	u.configure(t, s.block("box", "IdentityAgent "+socket, "IdentityFile "+wide, "IdentityFile "+garbage, "IdentityFile "+plain))
	u.wantRefused(t, "box", none(), banger.CodeMissing, "box", "as root", `agent key "in the agent"`, plain,
		wide+" (others may read it", garbage+" (it is not a private key")
}

func TestLogin_HostsThatTakeNoKeys(t *testing.T) {
	t.Parallel()
	u, s := known(t, "PubkeyAuthentication no", "KerberosAuthentication no", "HostbasedAuthentication yes")
	u.key(t, "id_ed25519")
	u.wantRefused(t, "box", none(), banger.CodeMissing, "a method other than a key: ")
	u.configure(t, s.block("box", "PubkeyAuthentication no"))
	u.wantRefused(t, "box", none(), banger.CodeInvalid, "PubkeyAuthentication")
}

func TestLogin_HostsThatWantMoreThanAKey(t *testing.T) {
	t.Parallel()
	u, s := known(t, "PasswordAuthentication yes", "AuthenticationMethods publickey,password")
	key := u.key(t, "id_ed25519")
	s.authorize(t, key)
	u.wantRefused(t, "box", none(), banger.CodeMissing, "a method other than a key: password", key)
}

func TestLogin_HostsThatWantTwoKeys(t *testing.T) {
	t.Parallel()
	u, s := known(t, "AuthenticationMethods publickey,publickey")
	s.authorize(t, makeKey(t, u.file("id_rsa"), "rsa", ""))
	u.wantRefused(t, "box", none(), banger.CodeMissing, "id_rsa")
	s.authorize(t, u.key(t, "id_ed25519"))
	u.wantIn(t, "box", none())
}

func TestLogin_OnlyAcceptedAlgorithms(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	key := makeKey(t, u.file("id_rsa"), "rsa", "")
	s.authorize(t, key)
	u.configure(t, s.block("box", "PubkeyAcceptedAlgorithms rsa-sha2-256"))
	u.wantIn(t, "box", none())
	u.configure(t, s.block("box", "PubkeyAcceptedAlgorithms ssh-ed25519"))
	u.wantRefused(t, "box", none(), banger.CodeMissing, key, "PubkeyAcceptedAlgorithms")
}

// serveAgent serves what is not a real agent at a socket.
func serveAgent(t *testing.T, serve func(net.Conn)) (socket string) {
	t.Helper()
	return serveAgentAs(t, os.Getuid(), serve)
}

// serveAgentAs is serveAgent with a socket on which another user has begun to listen.
func serveAgentAs(t *testing.T, uid int, serve func(net.Conn)) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "b-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "agent")
	if err := os.Chown(dir, uid, -1); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	listening := make(chan struct{})
	go func() { // on a thread of that user, which ends with the goroutine; credentials(7)
		defer close(listening)
		runtime.LockOSThread()
		same := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
			err = errno
			return
		}
		listener, err = net.Listen("unix", socket)
	}()
	if <-listening; err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			serving.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return socket
}

func TestLogin_BadAgentsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	for name, serve := range map[string]func(net.Conn){
		"silent":  silent,
		"hung up": func(net.Conn) {},
		"garbage": func(conn net.Conn) { _, _ = conn.Write([]byte("\x00\x00\x00\x05\x0c\xff\xff\xff\xff")); silent(conn) },
		"huge":    func(conn net.Conn) { _, _ = conn.Write([]byte("\xff\xff\xff\xff\x0c")); silent(conn) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, s := known(t)
			socket := serveAgent(t, serve)
			u.configure(t, s.block("box", "IdentityAgent "+socket))
			if name != "silent" { // which takes seconds each time
				u.wantRefused(t, "box", none(), banger.CodeMissing, "the agent at "+socket)
			}
			s.authorize(t, u.key(t, "id_ed25519"))
			u.wantIn(t, "box", none())
		})
	}
}

// A path that ssh-agent had once may be anybody's now.
func TestLogin_AnAgentOfAnotherUserIsNotAsked(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	asked := make(chan struct{}, 1)
	socket := serveAgentAs(t, 12345, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			asked <- struct{}{}
		}
	})
	u.configure(t, s.block("box", "IdentityAgent "+socket))
	u.wantRefused(t, "box", none(), banger.CodeMissing, "the agent at "+socket, "user 12345 listens there")
	select {
	case <-asked:
		t.Error("it was asked for its keys")
	default:
	}
}

// liar is an agent that has a key, it says.
type liar struct {
	agent.Agent
	sign func() (*ssh.Signature, error)
}

func (l liar) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) { return l.sign() }

func TestLogin_KeyOfALyingAgentIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	key := u.key(t, "id_ed25519")
	s.authorize(t, key)
	private, err := ssh.ParseRawPrivateKey([]byte(readFile(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := serveAgent(t, func(conn net.Conn) {
		refuse := func() (*ssh.Signature, error) { return nil, errors.New("no") }
		_ = agent.ServeAgent(liar{ring, refuse}, conn)
	})
	u.configure(t, s.block("box", "IdentityAgent "+socket))
	u.wantIn(t, "box", none())
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	u.wantRefused(t, "box", none(), banger.CodeMissing, "cannot sign")
}

// An agent that hangs while it signs, as one does whose user is away, ends with ctx.
func TestLogin_WaitsForASignatureAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	u, s := known(t)
	key := u.key(t, "id_ed25519")
	s.authorize(t, key)
	private, err := ssh.ParseRawPrivateKey([]byte(readFile(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	asked, over := make(chan struct{}, 1), make(chan struct{})
	socket := serveAgent(t, func(conn net.Conn) {
		_ = agent.ServeAgent(liar{ring, func() (*ssh.Signature, error) {
			asked <- struct{}{}
			<-over
			return &ssh.Signature{Format: "ssh-ed25519", Blob: randomBytes(64)}, nil
		}}, conn)
	})
	t.Cleanup(func() { close(over) })
	u.configure(t, s.block("box", "IdentityAgent "+socket))
	wantEnd(t, u, "box", asked)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// wantEnd cancels a dial once it has come so far, and wants it to end for that.
func wantEnd(t *testing.T, u *visitor, host string, soFar <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	why := errors.New("the user went home")
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-soFar:
		case <-ctx.Done():
		}
		stop(why)
	})
	client, err := u.Dial(ctx, sshhost.Target{Host: host}, none())
	stop(nil)
	waiting.Wait()
	if err == nil {
		client.Close()
		t.Fatal("it got in")
	}
	if !errors.Is(err, why) || banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("it ended with %v", err)
	}
}

// A hint is a command that can be typed: with the user and the port, and safe for a shell.
func TestDial_HintsNameTheHostAsItWasGiven(t *testing.T) {
	t.Parallel()
	u, s := newUser(t), newServer(t, nil)
	u.key(t, "id_ed25519")
	u.configure(t)
	u.knows(t, s)
	for text, want := range map[string]string{
		"jane@127.0.0.1:" + s.port:       "ssh-copy-id -p " + s.port + " jane@127.0.0.1",
		`CORP\jane@127.0.0.1:` + s.port:  "ssh-copy-id -p " + s.port + ` 'CORP\jane@127.0.0.1'`,
		"jane@127.0.0.1:1":               "ssh -v -p 1 jane@127.0.0.1",
		"jane@no-such-host.invalid:1024": "ssh -v -p 1024 jane@no-such-host.invalid",
	} {
		target, err := sshhost.ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		client, err := u.Dial(t.Context(), target, none())
		if err == nil {
			client.Close()
			t.Fatalf("%s got in", text)
		}
		if !strings.HasSuffix(hint(err), want) {
			t.Errorf("%s: %v: the hint is %q, want %q", text, err, hint(err), want)
		}
	}
}
