package fault

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger"
)

// Programs that speak over standard streams, and that nobody here wrote, do so
// through banger session attach as if they had started one another, while the link
// breaks again and again: a language server and VS Code's client of such, and an MCP
// server and the protocol's own client.
func TestFault_RealClientsSpeakThroughAttach(t *testing.T) {
	node := nodeClients(t)
	l := newLoopback(t)
	r := &rig{l, t}
	module := writeModule(t)
	for _, c := range []struct {
		name   string
		client []string
		server []string
	}{
		{"gopls", []string{"lsp.js", module}, []string{buildGopls(t)}},
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
			waitFor(t, "the end of the server", func() bool {
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
	for _, name := range []string{"PATH", "HOME", "XDG_CACHE_HOME", "GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOPATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = banger.ByteString(value)
		}
	}
	return env
}

// nodeClients returns a folder with the clients of testdata/node and the packages
// that its lock file pins.
func nodeClients(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("cannot install the node packages: %v\n%s", err, out)
	}
	return dir
}

// buildGopls builds the language server that testdata/gopls.mod pins.
func buildGopls(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gopls")
	build := exec.Command("go", "build", "-trimpath", "-modfile=test/fault/testdata/gopls.mod", "-o", path, "golang.org/x/tools/gopls")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build gopls: %v\n%s", err, out)
	}
	return path
}

// writeModule writes a Go module with a mistake.
func writeModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example\n\ngo 1.26\n",
		"main.go": `package main

import "fmt"

// greeting is what everybody is told.
const greeting = "hello"

// greet greets one by name.
func greet(name string) string { return   fmt.Sprint(greeting, name) }

func main() {
	fmt.Println(greet("world"))
	undefined()
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
