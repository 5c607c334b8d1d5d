package sshd_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/agent/scp"
	"banger/internal/agent/signals"
	"banger/internal/agent/sshd"
)

// TestMain makes the test binary the program of the subsystems that the tests use.
func TestMain(m *testing.M) {
	if err := signals.Reset(); err != nil { // as the agent does
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == "serve-sftp" {
		if err := sshd.SFTP(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && os.Args[1] == "serve-scp" {
		options, _ := scp.Parse(os.Args[2:])
		if err := scp.Serve(options, os.Stdin, os.Stdout, os.Stderr); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// waitLimit bounds every wait of these tests; it is reached by failures only.
const waitLimit = 30 * time.Second

// testServer is a server on a socket.
type testServer struct {
	address net.Addr
	key     ssh.Signer
	keyPEM  []byte
	hostKey ssh.PublicKey
	home    string // of both users
	etc     string // with the user database
	stop    func() // as SIGTERM does; returns when the server has stopped
}

// newServer starts a server whose users are root and other, who is nobody. It needs no
// network.
func newServer(t *testing.T) *testServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "s-") // short: it is part of a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "ssh"))
	if err != nil {
		t.Fatal(err)
	}
	return newServerOn(t, l)
}

// newServerOn starts one that serves a listener.
func newServerOn(t *testing.T, l net.Listener) *testServer {
	t.Helper()
	s := &testServer{address: l.Addr(), home: t.TempDir()}
	users := fmt.Sprintf("root:x:%d:%d::%s:/bin/bash\nother:x:65534:65534::/nonexistent:/bin/sh\nbroken:x:0:0::/:/no/such/shell\n",
		os.Getuid(), os.Getgid(), s.home)
	s.etc = t.TempDir()
	etc := s.etc
	if err := os.WriteFile(filepath.Join(etc, "passwd"), []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _ := newKey(t)
	s.hostKey = hostKey.PublicKey()
	s.key, s.keyPEM = newKey(t)
	server := sshd.New(sshd.Config{
		HostKey:        hostKey,
		AuthorizedKeys: []ssh.PublicKey{s.key.PublicKey()},
		Users:          passwd.At(etc),
		Subsystems: map[string][]string{
			"sftp": {executable, "serve-sftp"},
			"echo": {"/bin/cat"},
		},
		SCP:       []string{executable, "serve-scp"},
		ImageUser: "other",
		Env:       map[string]banger.ByteString{"GREETING": "hello", "PATH": "/usr/local/go/bin:/usr/bin:/bin", "HOME": "/nowhere"},
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l) }()
	stopped := false
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(waitLimit):
			t.Error("the server does not stop")
		}
	}
	t.Cleanup(s.stop)
	return s
}

func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func (s *testServer) clientConfig(user string) *ssh.ClientConfig {
	return &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(s.key)},
		HostKeyCallback: ssh.FixedHostKey(s.hostKey),
		Timeout:         waitLimit,
	}
}

func (s *testServer) dial(t *testing.T, user string) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial(s.address.Network(), s.address.String(), s.clientConfig(user))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// result is what one command gave.
type result struct {
	stdout, stderr string
	err            error
}

// run runs one command with stdin from in; prepare may be nil.
func run(t *testing.T, client *ssh.Client, command string, in io.Reader, prepare func(*ssh.Session)) result {
	t.Helper()
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	limit := time.AfterFunc(waitLimit, func() { session.Close() })
	defer limit.Stop()
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = in, &stdout, &stderr
	if prepare != nil {
		prepare(session)
	}
	err = session.Run(command)
	return result{stdout.String(), stderr.String(), err}
}

func TestServer_RefusesWrongKeyPasswordAndUnknownUser(t *testing.T) {
	s := newServer(t)
	wrong, _ := newKey(t)
	for name, change := range map[string]func(*ssh.ClientConfig){
		"wrong key":    func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.PublicKeys(wrong)} },
		"password":     func(c *ssh.ClientConfig) { c.Auth = []ssh.AuthMethod{ssh.Password("")} },
		"unknown user": func(c *ssh.ClientConfig) { c.User = "nobody-of-that-name" },
		"nothing":      func(c *ssh.ClientConfig) { c.Auth = nil },
	} {
		config := s.clientConfig("root")
		change(config)
		client, err := ssh.Dial(s.address.Network(), s.address.String(), config)
		if err == nil {
			client.Close()
			t.Errorf("%s: the login succeeded", name)
		} else if !strings.Contains(err.Error(), "unable to authenticate") {
			t.Errorf("%s: refused for another reason: %v", name, err)
		}
	}
}

func TestServer_ConnectionsThatSayNothingAreBounded(t *testing.T) {
	s := newServer(t)
	const more = 40 // than are admitted
	closed := make(chan struct{}, more)
	for range more {
		conn, err := net.Dial(s.address.Network(), s.address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() {
			_, _ = io.Copy(io.Discard, conn) // ends when the server closes it
			closed <- struct{}{}
		}()
	}
	for range more - 32 {
		select {
		case <-closed:
		case <-time.After(waitLimit):
			t.Fatal("more connections than allowed are kept open")
		}
	}
}

// Whoever reaches the port may hold connections: the daemon, whose link broke, gets in.
func TestServer_ConnectionsThatSayNothingKeepNobodyOut(t *testing.T) {
	s := newServer(t)
	for range 100 {
		conn, err := net.Dial(s.address.Network(), s.address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	established := s.dial(t, "root")
	for range 100 {
		conn, err := net.Dial(s.address.Network(), s.address.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if _, _, err := established.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Errorf("a connection that has logged in was closed: %v", err)
	}
}

func TestServer_StopHangsUpAndPassesOnTheLastWords(t *testing.T) {
	s := newServer(t)
	session, err := s.dial(t, "root").NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(`trap 'echo bye; exit 5' HUP; echo ready; while :; do sleep 0.05; done`); err != nil {
		t.Fatal(err)
	}
	if line := make([]byte, len("ready\n")); !readFull(out, line) {
		t.Fatal("the command did not start")
	}
	s.stop()
	rest, _ := io.ReadAll(out)
	if string(rest) != "bye\n" {
		t.Errorf("after the stop came %q, want the command's last words", rest)
	}
	if err := session.Wait(); exitStatus(err) != 5 {
		t.Errorf("the command's end was reported as %v, want status 5", err)
	}
}

func TestServer_AnswersKeepAlive(t *testing.T) {
	client := newServer(t).dial(t, "root")
	ok, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
	if !ok || err != nil {
		t.Fatalf("keepalive: %v, %v", ok, err)
	}
	ok, _, err = client.SendRequest("no-such-request", true, nil)
	if ok || err != nil {
		t.Fatalf("an unknown request: %v, %v; want a refusal", ok, err)
	}
}

func TestParseAuthorizedKeys_RefusesOptionsThatItWouldNotHonour(t *testing.T) {
	key, _ := newKey(t)
	line := string(ssh.MarshalAuthorizedKey(key.PublicKey()))
	keys, err := sshd.ParseAuthorizedKeys([]string{line})
	if err != nil || len(keys) != 1 || !slices.Equal(keys[0].Marshal(), key.PublicKey().Marshal()) {
		t.Fatalf("a plain key: %v, %v", keys, err)
	}
	if _, err := sshd.ParseAuthorizedKeys([]string{`command="/bin/false" ` + line}); err == nil {
		t.Error("a key with a forced command was accepted as one without")
	}
}

func readFull(r io.Reader, p []byte) bool {
	_, err := io.ReadFull(r, p)
	return err == nil
}

// exitStatus is that of the command, -1 if err is not about one.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		return exit.ExitStatus()
	}
	return -1
}
