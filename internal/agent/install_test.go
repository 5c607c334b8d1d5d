//go:build !unit

package agent_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger/internal/guestconfig"
)

// versions is a directory of a remote host with versions of the agent, and its programs.
type versions struct {
	dir, agent string
	sums       []string // arguments of install
}

func newVersions(t *testing.T, agent string) *versions {
	t.Helper()
	sum := func(data []byte) string {
		s := sha256.Sum256(data)
		return hex.EncodeToString(s[:])
	}
	program, err := os.ReadFile(agent)
	if err != nil {
		t.Fatal(err)
	}
	return &versions{dir: t.TempDir(), agent: agent, sums: []string{"--agent-sha256", sum(program), "--shim-sha256", sum([]byte("shim"))}}
}

// upload makes what an upload leaves, in a directory of that name.
func (v *versions) upload(t *testing.T, name, shim string) string {
	t.Helper()
	dir := filepath.Join(v.dir, name)
	program, err := os.ReadFile(v.agent)
	err = errors.Join(err, os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, guestconfig.AgentName), program, 0o644),
		os.WriteFile(filepath.Join(dir, guestconfig.ShimName), []byte(shim), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (v *versions) install(t *testing.T, uploaded string) *exec.Cmd {
	t.Helper()
	return command(t, v.agent, append([]string{"install", "--uploaded", uploaded, "--place", v.place()}, v.sums...)...)
}

func (v *versions) place() string { return filepath.Join(v.dir, "0123") }

// wantPlaced checks that the version is there, for its owner only, and nothing beside
// it but what is named.
func (v *versions) wantPlaced(t *testing.T, beside ...string) {
	t.Helper()
	for _, name := range []string{guestconfig.AgentName, guestconfig.ShimName} {
		info, err := os.Stat(filepath.Join(v.place(), name))
		if err != nil || info.Mode() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	var got []string
	want := append(beside, "0123")
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Errorf("there are %q, want %q", got, want)
	}
	for _, name := range want {
		if _, err := os.Lstat(filepath.Join(v.dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func testInstall(t *testing.T, agent string) {
	t.Run("TakesItsPlace", func(t *testing.T) {
		v := newVersions(t, agent)
		if err := v.install(t, v.upload(t, guestconfig.UploadPrefix+"a", "shim")).Run(); err != nil {
			t.Fatal(err)
		}
		v.wantPlaced(t)
	})
	t.Run("RefusesWhatIsNotWhatWasSent", func(t *testing.T) {
		for _, shim := range []string{"", "shi", "shimm", "Shim"} {
			v := newVersions(t, agent)
			cmd := v.install(t, v.upload(t, guestconfig.UploadPrefix+"a", shim))
			var said strings.Builder
			cmd.Stderr = &said
			if err := cmd.Run(); err == nil || !strings.Contains(said.String(), "SHA-256") || !strings.Contains(said.String(), guestconfig.ShimName) {
				t.Errorf("%q: %v, %s", shim, err, said.String())
			}
			if _, err := os.Stat(v.place()); !os.IsNotExist(err) {
				t.Errorf("%q: it has its place: %v", shim, err)
			}
		}
	})
	t.Run("TwoAtOnceLeaveOne", func(t *testing.T) {
		v := newVersions(t, agent)
		var installs []*exec.Cmd
		for _, name := range []string{"a", "b", "c", "d"} {
			cmd := v.install(t, v.upload(t, guestconfig.UploadPrefix+name, "shim"))
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			installs = append(installs, cmd)
		}
		for _, cmd := range installs {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}
		v.wantPlaced(t)
	})
	t.Run("FindsAPlaceThatIsTakenByAnother", func(t *testing.T) {
		v := newVersions(t, agent)
		v.upload(t, "0123", "other")
		uploaded := v.upload(t, guestconfig.UploadPrefix+"a", "shim")
		if err := v.install(t, uploaded).Run(); err == nil {
			t.Error("it goes on with other programs than were asked for")
		}
	})
	t.Run("LeavesWhatAnotherHostUses", func(t *testing.T) { testSharedSweep(t, agent) })
	t.Run("SweepsWhatNobodyUses", func(t *testing.T) { testSweep(t, agent) })
	t.Run("Connect", func(t *testing.T) { testConnect(t, agent) })
}

// A home may be shared by hosts whose processes cannot be seen here.
func testSharedSweep(t *testing.T, agent string) {
	v := newVersions(t, agent)
	theirs := v.upload(t, "theirs", "old")
	v.upload(t, "unknown", "older") // of a build that noted nothing
	if err := os.WriteFile(filepath.Join(theirs, "used-by-0123456789abcdef0123456789abcdef"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.install(t, v.upload(t, guestconfig.UploadPrefix+"a", "shim")).Run(); err != nil {
		t.Fatal(err)
	}
	v.wantPlaced(t, "theirs", "unknown")
}

func testSweep(t *testing.T, agent string) {
	v := newVersions(t, agent)
	used := v.upload(t, "used", "old")
	v.upload(t, "unused", "old")
	v.upload(t, guestconfig.UploadPrefix+"fresh", "half")
	abandoned := v.upload(t, guestconfig.UploadPrefix+"abandoned", "half")
	if err := os.WriteFile(filepath.Join(v.dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-25 * time.Hour)
	if err := errors.Join(os.Chtimes(abandoned, long, long), os.Chmod(filepath.Join(used, guestconfig.AgentName), 0o700)); err != nil {
		t.Fatal(err)
	}
	running := command(t, filepath.Join(used, guestconfig.AgentName), "sftp")
	stdin, err := running.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	if err := v.install(t, v.upload(t, guestconfig.UploadPrefix+"a", "shim")).Run(); err != nil {
		t.Fatal(err)
	}
	v.wantPlaced(t, "used", guestconfig.UploadPrefix+"fresh", "file")
	stdin.Close()
	_ = running.Wait() // it has ended, and so nobody uses its version
	if err := v.install(t, v.upload(t, guestconfig.UploadPrefix+"b", "shim")).Run(); err != nil {
		t.Fatal(err)
	}
	v.wantPlaced(t, guestconfig.UploadPrefix+"fresh", "file")
}

// testConnect checks that connect carries bytes, ends of both directions too.
func testConnect(t *testing.T, agent string) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	data := strings.Repeat("\x00\xff\r\nline\n", 50_000)
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		got, err := io.ReadAll(conn) // until connect's input has ended
		if err == nil && string(got) != data {
			err = errors.New("other bytes came out than went in")
		}
		_, writeErr := io.WriteString(conn, data+"bye")
		served <- errors.Join(err, writeErr)
	}()
	cmd := command(t, agent, "connect", "--announce", "LINE", socket)
	cmd.Stdin = strings.NewReader("\n\nwhat a start-up file has left\nLINE\n" + data)
	out, err := cmd.Output()
	if err := errors.Join(err, <-served); err != nil {
		t.Error(err)
	}
	if string(out) != "\nLINE\n"+data+"bye" {
		t.Errorf("%d bytes came back, beginning with %.20q", len(out), out)
	}

	// The socket's end is connect's, whoever holds its input open; and so is a signal.
	for name, end := range map[string]func(*exec.Cmd, net.Conn) error{
		"the socket's end": func(_ *exec.Cmd, conn net.Conn) error { return conn.Close() },
		"SIGTERM":          func(cmd *exec.Cmd, _ net.Conn) error { return cmd.Process.Signal(syscall.SIGTERM) },
	} {
		cmd := command(t, agent, "connect", "--announce", "LINE", socket)
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if err := end(cmd, conn); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // that it returns is the promise
		conn.Close()
		stdin.Close()
		if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("%s: it was killed: %s", name, cmd.ProcessState)
		}
	}

	var said strings.Builder
	for _, args := range [][]string{{"connect", socket}, {"connect", "--announce", "LINE"}, {"connect", "--announce", "LINE", socket + "-none"}} {
		cmd := command(t, agent, args...)
		cmd.Stderr = &said
		if out, err := cmd.Output(); err == nil || len(out) > 0 {
			t.Errorf("%q: %v; it announces %q", args, err, out)
		}
	}
	if !strings.Contains(said.String(), "usage") || !strings.Contains(said.String(), "no such file") {
		t.Errorf("it says %q", said.String())
	}
}
