// Package remote tests sessions on hosts of somebody else: real SSH servers with their
// quirks, behind networks with theirs.
package remote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/client"
	"banger/internal/hosttest"
	"banger/sessionstream"
	"banger/test/oldkernel"
)

var bin hosttest.Binaries

func TestMain(m *testing.M) {
	if spec := os.Getenv(oldkernel.Variable); spec != "" {
		fmt.Fprintln(os.Stderr, oldkernel.Exec(spec, os.Args[1], os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(hosttest.Main(m, func(b hosttest.Binaries) { bin = b }))
}

// rig is a daemon whose user may log in to one host.
type rig struct {
	*client.Client
	t      *testing.T
	host   *hosttest.Host
	server *hosttest.SSHServer
	home   string // of the daemon's user
	target string
}

func newRig(t *testing.T, o hosttest.SSHOptions) *rig {
	t.Helper()
	r := &rig{t: t, server: hosttest.NewSSHServer(t, o), home: t.TempDir()}
	r.target = hosttest.NewSSHHome(t, r.home, r.server)
	r.host = hosttest.NewWith(t, bin, hosttest.Options{Home: r.home})
	r.Client = r.host.Client()
	return r
}

// add makes the host the VM v.
func (r *rig) add() error {
	r.t.Helper()
	_, err := r.AddRemote(r.t.Context(), banger.RemoteRequest{Name: "v", SSH: r.target})
	return err
}

func (r *rig) mustAdd() {
	r.t.Helper()
	if err := r.add(); err != nil {
		r.t.Fatal(err)
	}
}

// start starts a shell script.
func (r *rig) start(name, script string) banger.Session {
	r.t.Helper()
	x, err := r.StartSession(r.t.Context(), "v", banger.SessionRequest{Name: name, Launch: banger.Launch{
		Command: "sh", Args: banger.ByteStrings([]string{"-c", script}), StdinMode: banger.StdinPipe,
	}})
	if err != nil || x.EndedBy == banger.EndedByLaunch {
		r.t.Fatalf("cannot start %s: %v %s", name, err, x.LaunchMessage)
	}
	return x
}

func (r *rig) session(name string) banger.Session {
	r.t.Helper()
	x, err := r.GetSession(r.t.Context(), "v", name)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

func (r *rig) vm() banger.VM {
	r.t.Helper()
	vm, err := r.GetVM(r.t.Context(), "v")
	if err != nil {
		r.t.Fatal(err)
	}
	return vm
}

// wait returns a session that has ended.
func (r *rig) wait(name string) banger.Session {
	r.t.Helper()
	x, err := r.WaitSession(r.t.Context(), "v", name)
	if err != nil {
		r.t.Fatal(err)
	}
	return x
}

func (r *rig) send(name, data string, eof bool) {
	r.t.Helper()
	if _, err := r.SendSession(r.t.Context(), "v", name, banger.SendRequest{Data: strings.NewReader(data), EOF: eof}); err != nil {
		r.t.Fatal(err)
	}
}

// log returns all of a session's stdout.
func (r *rig) log(name string) string {
	r.t.Helper()
	var text strings.Builder
	_, err := r.ReadLogs(r.t.Context(), "v", name, banger.LogRequest{Stream: banger.StreamStdout, Lines: -1}, func(c banger.LogChunk) error {
		text.Write(c.Data)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return text.String()
}

// converse attaches as the writer of a session that answers each line, behind an
// offset of its output, says some lines and reads the answers.
func (r *rig) converse(name string, from int64, lines ...string) {
	r.t.Helper()
	a, err := r.Attach(r.t.Context(), "v", name, sessionstream.Attach{Role: sessionstream.RoleWriter, From: &banger.LogCursor{Stdout: from}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Close()
	var got strings.Builder
	want := ""
	for _, line := range lines {
		want += line + "\n"
		if _, err := a.Write([]byte(line + "\n")); err != nil {
			r.t.Fatal(err)
		}
		for got.Len() < len(want) {
			m, err := a.Receive()
			if err != nil {
				r.t.Fatal(err)
			}
			got.Write(m.Data)
		}
	}
	if got.String() != want {
		r.t.Errorf("session %s answers %q, not %q", name, got.String(), want)
	}
	a.Detach()
	for err == nil { // the place is free when the end is told
		_, err = a.Receive()
	}
}

// versionsIn lists the versions of the agent in a directory on the host.
func versionsIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(dir, "*", "banger-agent"))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
