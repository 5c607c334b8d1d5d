//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"banger/internal/hosttest"
	"banger/test/installation"
)

// bin holds the binaries under test; TestMain sets it once.
var bin installation.Binaries

// limit bounds each command of these tests.
const limit = 5 * time.Minute

func TestMain(m *testing.M) {
	os.Exit(installation.Main(m, true, func(b installation.Binaries) { bin = b }, results.write))
}

// place is an installation whose VM "v" is the host of another user, with a real SSH server.
// What runs there sees the same files.
type place struct {
	*installation.Installation
	t      *testing.T
	server *hosttest.SSHServer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	i := installation.New(t, bin)
	server := hosttest.NewSSHServer(t, hosttest.SSHOptions{})
	home := filepath.Join(i.Dir, "home")
	target := hosttest.NewSSHHome(t, home, server)
	// ssh looks for its configuration in the home that passwd names, whatever HOME is.
	script(t, filepath.Join(home, "ssh"), "exec /usr/bin/ssh -F "+filepath.Join(home, ".ssh", "config")+` "$@"`)
	i.Setenv("PATH", home+":"+filepath.Join(string(bin))+":"+os.Getenv("PATH"))
	i.Setenv("LANG", "C.UTF-8")
	i.MustRun(t, "vm", "add", "v", "--ssh", target)
	return &place{i, t, server}
}

// start starts a session.
func (p *place) start(name string, flags []string, argv ...string) {
	p.t.Helper()
	golang, err := exec.LookPath("go") // which gopls runs
	if err != nil {
		p.t.Fatal(err)
	}
	p.MustRun(p.t, append(append([]string{"session", "start", "v", "--name", name, "--stdin", "pipe", "--env", "PATH=" + filepath.Dir(golang) + ":/usr/local/bin:/usr/bin:/bin",
		"--env", "LANG=C.UTF-8"}, append(flags, "--")...), argv...)...)
}

// attach returns the command that connects a program to a session.
func (p *place) attach(name string) []string {
	return []string{filepath.Join(string(bin), "banger"), "session", "attach", "v", name, "--eof"}
}

// run runs a program on this host, where banger is in its PATH, and returns its output.
func (p *place) run(dir string, argv ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, p.Env, &out, &errs
	if err := cmd.Run(); err != nil {
		p.t.Fatalf("%q: %v\n%.4000s\n%.4000s", argv, err, &out, &errs)
	}
	return out.String()
}

// script writes a shell script.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// sharedDir makes a directory that the other user may read.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "interop-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// install runs what installs programs.
func install(t *testing.T, dir string, env []string, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot install: %q: %v\n%s", argv, err, out)
	}
}

// nodePackages installs what the lock file pins and returns the directory with it.
func nodePackages(t *testing.T) string {
	t.Helper()
	dir := sharedDir(t)
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	install(t, dir, nil, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	return dir
}

// pythonPackages installs what a file of testdata pins and returns the directory of programs.
func pythonPackages(t *testing.T, requirements string) string {
	t.Helper()
	dir := sharedDir(t)
	install(t, ".", nil, "/usr/bin/python3", "-m", "venv", dir) // one that the other user may run
	install(t, ".", nil, filepath.Join(dir, "bin", "pip"), "install", "-q", "--disable-pip-version-check", "-r", filepath.Join("testdata", requirements))
	return filepath.Join(dir, "bin")
}

// debian returns the version of an installed Debian package.
func debian(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		t.Fatalf("package %s is missing: run scripts/install-deps interop: %v", name, err)
	}
	return string(out)
}

// pinned returns the version of a Python package that is installed in a directory of
// programs.
func pinned(t *testing.T, programs, name string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(programs, "pip"), "show", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if version, ok := strings.CutPrefix(line, "Version: "); ok {
			return strings.TrimSpace(version)
		}
	}
	t.Fatalf("no version of %s", name)
	return ""
}

// results collects what RESULTS.md says.
var results resultTable

// resultTable is a table of what was tried with which version of which program.
type resultTable struct {
	mu   sync.Mutex // guards rows
	rows []string
}

// tried notes the outcome of the test that calls it when that ends.
func tried(t *testing.T, program, version, what string) {
	t.Helper()
	t.Cleanup(func() {
		outcome := "works"
		if t.Failed() {
			outcome = "**fails**"
		}
		results.mu.Lock()
		defer results.mu.Unlock()
		results.rows = append(results.rows, fmt.Sprintf("| %s | %s | %s | %s | `%s` |\n", program, version, what, outcome, t.Name()))
	})
}

// write writes the table to the file that BANGER_INTEROP_RESULTS names, if it does.
func (r *resultTable) write() error {
	path := os.Getenv("BANGER_INTEROP_RESULTS")
	if path == "" {
		return nil
	}
	var text strings.Builder
	text.WriteString("# Results of make interop\n\nWritten by `make interop`; see [TESTING.md](../../docs/TESTING.md).\n\n" +
		"| program | version | what it does through banger | outcome | test |\n| --- | --- | --- | --- | --- |\n")
	for _, row := range r.rows {
		text.WriteString(row)
	}
	return os.WriteFile(path, []byte(text.String()), 0o644)
}
