//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The MCP client for Python gets from each server the same answers through a session as from
// a server that it has started itself.
func TestInterop_MCPServersAnswerThroughASession(t *testing.T) {
	node, python := nodePackages(t), pythonPackages(t, "mcp.txt")
	p := newPlace(t)
	dir := sharedDir(t)
	if err := os.WriteFile(filepath.Join(dir, "file.txt"), []byte(strings.Repeat("a line that the server reads\n", 20_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	client := "the MCP client for Python, mcp " + pinned(t, python, "mcp")
	for _, c := range []struct {
		name, version string
		server        []string
		call          []string // a tool and its arguments
		answer        string   // is part of the answer
	}{
		{"@modelcontextprotocol/server-filesystem", nodeVersion(t, node, "@modelcontextprotocol/server-filesystem"),
			[]string{"node", filepath.Join(node, "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"), dir},
			[]string{"read_text_file", `{"path": "` + filepath.Join(dir, "file.txt") + `"}`}, "a line that the server reads"},
		{"mcp-server-time", pinned(t, python, "mcp-server-time"), []string{filepath.Join(python, "mcp-server-time"), "--local-timezone", "UTC"},
			[]string{"convert_time", `{"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}`}, "+9.0h"},
	} {
		t.Run(filepath.Base(c.name), func(t *testing.T) {
			tried(t, c.name, c.version, "an MCP server on a session's stdio, with "+client)
			p := &place{p.Installation, t, p.server}
			ask := func(server ...string) string {
				return p.run(dir, append(append([]string{filepath.Join(python, "python3"), absolute(t, "testdata/mcp_client.py")}, c.call...), server...)...)
			}
			want := ask(c.server...)
			if !strings.Contains(want, c.answer) {
				t.Fatalf("without banger the answers are\n%.4000s", want)
			}
			name := filepath.Base(c.name)
			p.start(name, nil, c.server...)
			if got := ask(p.attach(name)...); got != want {
				t.Errorf("through banger the answers are\n%.4000s\nwithout\n%.4000s", got, want)
			}
			p.Run(t, "session", "wait", "v", name) // it ends as its stdin does, with a status of its own
		})
	}
}
