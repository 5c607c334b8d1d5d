package fault

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger"
	"banger/test/wait"
)

// Programs that speak over standard streams, and that nobody here wrote, do so
// through banger session attach as if they had started one another, while the link
// breaks again and again: a language server and VS Code's client of such, and an MCP
// server and the protocol's own client.
func TestFault_RealClientsSpeakThroughAttach(t *testing.T) {
	node := nodeClients(t)
	l := newLoopback(t)
	r := &rig{l, t}
	for _, c := range []struct {
		name   string
		client []string
		server []string
	}{
		{"pyright", []string{"lsp.js", writeProgram(t)}, []string{"node", filepath.Join(node, "node_modules/pyright/langserver.index.js"), "--stdio"}},
		{"mcp", []string{"mcp.js"}, []string{"node", filepath.Join(node, "node_modules/@modelcontextprotocol/server-everything/dist/index.js"), "stdio"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.in(t)
			converse := func(env []string, heard func(lines int), server ...string) (transcript []string) {
				cmd := exec.Command("node", append(c.client, server...)...)
				cmd.Dir, cmd.Env, cmd.Stderr = node, env, prefixed{t.Output(), c.name + ": "}
				out, err := cmd.StdoutPipe()
				if err == nil {
					err = cmd.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				for lines := bufio.NewScanner(out); lines.Scan(); {
					transcript = append(transcript, lines.Text())
					heard(len(transcript))
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("after %q the client ended with: %v", transcript, err)
				}
				return transcript
			}
			want := converse(l.environment(), func(int) {}, c.server...)
			x := r.start(c.name, environmentOf(t), c.server...)
			faults := []func(){r.cut, r.killControl}
			got := converse(l.environment(), func(lines int) {
				if lines < len(want) { // the client itself ends behind the last one, and waits for nobody
					faults[lines%2]()
				}
			},
				filepath.Join(string(bin), "banger"), "session", "attach", "v", string(x.ID), "--eof")
			if len(want) < 20 || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("through banger the transcript is\n%q\nwithout\n%q", got, want)
			}
			wait.For(t, "the end of the server", func() bool {
				now, err := r.client().GetSession(t.Context(), "v", string(x.ID))
				return err == nil && now.Status.Ended()
			})
			t.Logf("%d answers, and the link broke after each", len(got))
		})
	}
}

// environmentOf is what programs of this host need.
func environmentOf(t *testing.T) map[string]banger.ByteString {
	t.Helper()
	env := map[string]banger.ByteString{"LANG": "C.UTF-8"}
	for _, name := range []string{"PATH", "HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = banger.ByteString(value)
		}
	}
	return env
}

// nodeClients returns a directory with the clients of testdata/node and the packages
// that its lock file pins.
func nodeClients(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("cannot install the node packages: %v\n%s", err, out)
	}
	return dir
}

// writeProgram writes a program in Python with a mistake.
func writeProgram(t *testing.T) string {
	t.Helper()
	const text = `"""A program with a mistake."""

# greeting is what everybody is told.
greeting = "hello "


def greet(name: str) -> str:
    """greet greets one by name."""
    return greeting + name


print(greet("world"))
undefined()
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
