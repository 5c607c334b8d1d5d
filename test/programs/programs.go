// Package programs has banger's own programs for tests: those that Variable names, which were
// built once for a whole run of tests, or fresh ones.
package programs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// Variable names the directory in which make has built all programs for the packages of a
// run. Without it each package builds what it needs.
const Variable = "BANGER_TEST_PROGRAMS"

// Program is one of banger's programs as tests need it: its path below the directory.
type Program string

// The programs. The Makefile builds them with the same flags.
const (
	Host       Program = "banger"
	Agent      Program = "banger-agent"
	Shim       Program = "banger-shim"
	RacingHost Program = "race/banger" // with the race detector
	RacingShim Program = "race/banger-shim"
)

// Name is the program's own name.
func (p Program) Name() string { return filepath.Base(string(p)) }

// build returns what follows "go build", and whether it needs cgo.
func (p Program) build() (flags []string, cgo string) {
	if p == RacingHost || p == RacingShim {
		return []string{"-race", "-gcflags=modernc.org/sqlite/lib=-race=false"}, "1"
	}
	return []string{"-trimpath", "-ldflags=-s -w"}, "0"
}

// Put puts programs into a directory, each under its own name. They are the caller's:
// processes of one test are found, and ended, by the path of their program.
func Put(dir string, all ...Program) error {
	for _, p := range all {
		put := p.compile
		if os.Getenv(Variable) != "" {
			put = p.copy
		}
		if err := put(filepath.Join(dir, p.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (p Program) compile(path string) error {
	flags, cgo := p.build()
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "./cmd/"+p.Name())...)
	_, file, _, _ := runtime.Caller(0)
	cmd.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", p, err, out)
	}
	return nil
}

func (p Program) copy(path string) error {
	from, err := os.Open(filepath.Join(os.Getenv(Variable), string(p)))
	if err != nil {
		return fmt.Errorf("cannot open program: %w; %s names a directory that make fills", err, Variable)
	}
	defer from.Close()
	// A process that is forked meanwhile would have it open for writing, which keeps it
	// from being executed.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("cannot copy program: %w", err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("cannot copy program %s: %w", p, err)
	}
	return nil
}
