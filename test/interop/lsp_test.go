//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Neovim's client of language servers gets from each server the same answers through a
// session as from a server that it has started itself.
func TestInterop_LanguageServersAnswerThroughASession(t *testing.T) {
	node, python, golang := nodePackages(t), pythonPackages(t, "lsp.txt"), goPrograms(t, "golang.org/x/tools/gopls@"+goplsVersion)
	p := newPlace(t)
	for _, c := range []struct {
		name, version string
		file, text    string
		server        []string
	}{
		{"gopls", goplsVersion, "main.go", "package main\n\nfunc greet(name string) string { return \"hello \" + name }\n\nfunc main() { greet(\"world\"); undefined() }\n",
			[]string{filepath.Join(golang, "gopls")}},
		{"typescript-language-server", nodeVersion(t, node, "typescript-language-server"), "main.ts", "function greet(name: string) { return \"hello \" + name; }\ngreet(\"world\"); missing();\n",
			[]string{"node", filepath.Join(node, "node_modules/typescript-language-server/lib/cli.mjs"), "--stdio"}},
		{"python-lsp-server", pinned(t, python, "python-lsp-server"), "main.py", "def greet(name):\n    return \"hello \" + name\n\n\ngreet(\"world\")\nmissing(\n",
			[]string{filepath.Join(python, "pylsp")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tried(t, c.name, c.version, "a language server on a session's stdio, with the client of neovim "+debian(t, "neovim"))
			p := &place{p.Installation, t, p.server}
			dir := sharedDir(t)
			for name, text := range map[string]string{c.file: c.text, "go.mod": "module example.org/greet\n\ngo 1.24\n", "tsconfig.json": "{}\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink(filepath.Join(node, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
				t.Fatal(err)
			}
			ask := func(server ...string) string {
				return p.run(dir, append([]string{"nvim", "--headless", "-u", "NONE", "-i", "NONE", "-n", "-c", "luafile " + absolute(t, "testdata/lsp.lua"),
					"--", c.file}, server...)...)
			}
			want := ask(c.server...)
			if strings.Count(want, "\n") != 4 || !strings.Contains(want, "greet") || strings.Contains(want, "null") {
				t.Fatalf("without banger the answers are\n%s", want)
			}
			p.start(c.name, []string{"--cwd", dir}, c.server...)
			if got := ask(p.attach(c.name)...); got != want {
				t.Errorf("through banger the answers are\n%s\nwithout\n%s", got, want)
			}
			if r := p.Run(t, "session", "wait", "v", c.name); r.Code != 0 {
				t.Errorf("the server ended with %s", r)
			}
		})
	}
}

const goplsVersion = "v0.23.0"

// goPrograms installs a program of the module proxy and returns the directory with it.
func goPrograms(t *testing.T, program string) string {
	t.Helper()
	dir := sharedDir(t)
	install(t, dir, []string{"GOBIN=" + dir, "CGO_ENABLED=0", "GOFLAGS="}, "go", "install", program)
	return dir
}

// nodeVersion returns the version of an installed package.
func nodeVersion(t *testing.T, node, name string) string {
	t.Helper()
	out, err := exec.Command("node", "-p", `require("`+filepath.Join(node, "node_modules", name, "package.json")+`").version`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
