package programs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger/test/programs"
)

// With the programs of a run no package of it starts a compiler.
func TestPut_TakesWhatTheRunHasBuilt(t *testing.T) {
	built, mine := t.TempDir(), t.TempDir()
	t.Setenv(programs.Variable, built)
	t.Setenv("PATH", "")
	if err := os.WriteFile(filepath.Join(built, string(programs.Shim)), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := programs.Put(mine, programs.Shim); err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(filepath.Join(mine, "banger-shim"))
	if err != nil || got.Mode().Perm()&0o100 == 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := programs.Put(mine, programs.Agent); err == nil || !strings.Contains(err.Error(), programs.Variable) {
		t.Errorf("a program that is missing: %v", err)
	}
}

// Without them a package can be tested alone: it gets its own.
func TestPut_BuildsWhatNobodyHasBuilt(t *testing.T) {
	t.Setenv(programs.Variable, "")
	mine := t.TempDir()
	if err := programs.Put(mine, programs.Shim); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(mine, "banger-shim")); err != nil {
		t.Error(err)
	}
}
