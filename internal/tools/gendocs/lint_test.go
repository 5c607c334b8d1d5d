//go:build !unit

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The linter is pinned by testdata/node/package-lock.json.
func TestOpenAPI_PassesTheLinter(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/node")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), describe(t), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Fatalf("%v; install the Debian packages nodejs and npm", err)
		}
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if problems := run("node", "lint.js"); problems != "" {
		t.Errorf("the linter finds:\n%s", problems)
	}
}
