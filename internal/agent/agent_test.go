//go:build !unit

package agent_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"banger/internal/guestapi"
	"banger/internal/guestconfig"
	"banger/test/programs"
)

// waitLimit bounds every process of these tests; it is reached by failures only.
const waitLimit = 60 * time.Second

// buildAgent builds the agent as it goes into guests.
func buildAgent(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := programs.Put(dir, programs.Agent); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, programs.Agent.Name())
}

// command prepares a run of the agent that ends with the test.
func command(t *testing.T, agent string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, agent, args...)
	cmd.Stderr = t.Output()
	return cmd
}

func TestAgent(t *testing.T) {
	agent := buildAgent(t)
	t.Run("TellsItsVersion", func(t *testing.T) {
		if out, err := command(t, agent, "version").Output(); err != nil || strings.TrimSpace(string(out)) == "" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	t.Run("UnknownSubcommandIsAUsageError", func(t *testing.T) {
		for _, args := range [][]string{nil, {"no-such"}} {
			err := command(t, agent, args...).Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 {
				t.Errorf("%q: ended with %v, want status 2", args, err)
			}
		}
	})
	t.Run("ControlEndsWithItsInputAndOnSIGTERM", func(t *testing.T) {
		for name, end := range map[string]func(stdin io.Closer, p *os.Process) error{
			"input":   func(stdin io.Closer, _ *os.Process) error { return stdin.Close() },
			"SIGTERM": func(_ io.Closer, p *os.Process) error { return p.Signal(syscall.SIGTERM) },
		} {
			cmd := command(t, agent, "control", "--sessions-dir", t.TempDir(), "--shim", "/no/such/shim")
			stdin, err1 := cmd.StdinPipe()
			stdout, err2 := cmd.StdoutPipe()
			if err := errors.Join(err1, err2, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(stdin, `{"jsonrpc":"2.0","id":1,"method":"hello"}`+"\n"); err != nil {
				t.Fatal(err)
			}
			var answer struct{ Result guestapi.GuestHello }
			line, _ := bufio.NewReader(stdout).ReadBytes('\n')
			if err := json.Unmarshal(line, &answer); err != nil || answer.Result.Protocol != guestapi.GuestProtocol {
				t.Errorf("hello was answered by %q: %v", line, err)
			}
			if err := errors.Join(end(stdin, cmd.Process), cmd.Wait()); err != nil {
				t.Errorf("%s: ended with %v", name, err)
			}
		}
	})
	t.Run("SFTPEndsOnSIGTERM", func(t *testing.T) {
		cmd := command(t, agent, "sftp")
		stdin, err1 := cmd.StdinPipe()
		stdout, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		client, err := sftp.NewClientPipe(stdout, stdin) // returns when the server has answered
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("ended with %v", err)
		}
	})
	t.Run("ServesSFTPFromItsConfiguration", func(t *testing.T) { testServe(t, agent) })
	t.Run("Install", func(t *testing.T) { testInstall(t, agent) })
	t.Run("Try", func(t *testing.T) { testTry(t, agent) })
}

func testServe(t *testing.T, agent string) {
	config, client := serverFiles(t)
	// A loopback address of its own: nobody else has this port on it.
	address := fmt.Sprintf("127.%d.%d.%d:2222", 1+mathrand.N(250), mathrand.N(250), 1+mathrand.N(250))
	said, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	server := command(t, agent, "serve", "--config", config, "--listen", address, "--ready-fd", "3")
	server.ExtraFiles = []*os.File{theirs}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if word, err := io.ReadAll(said); err != nil || string(word) != "r" {
		t.Fatalf("the server said %q, %v", word, err)
	}
	conn, err := ssh.Dial("tcp", address, client)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	files, err := sftp.NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := files.Stat(config); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the configuration over SFTP: %v, %v", info, err)
	}
	conn.Close()
	if err := errors.Join(server.Process.Signal(syscall.SIGTERM), server.Wait()); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// serverFiles writes a VM's configuration and returns it with what a client needs.
func serverFiles(t *testing.T) (path string, client *ssh.ClientConfig) {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	hostKey, hostPEM := newKey(t)
	key, _ := newKey(t)
	data, err := json.Marshal(guestconfig.Config{
		SSHHostKey:     hostPEM,
		AuthorizedKeys: []string{string(ssh.MarshalAuthorizedKey(key.PublicKey()))},
	})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, &ssh.ClientConfig{
		User:            me.Username,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
		Timeout:         waitLimit,
	}
}

func newKey(t *testing.T) (ssh.Signer, string) {
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
	return signer, string(pem.EncodeToMemory(block))
}
