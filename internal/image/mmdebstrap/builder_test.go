//go:build !unit

package mmdebstrap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"banger"
)

// helperScratch makes the test binary run a build, for the tests that kill it.
const helperScratch = "BANGER_TEST_BUILD_IN"

func TestMain(m *testing.M) {
	if scratch := os.Getenv(helperScratch); scratch != "" {
		if err := New().Build(context.Background(), testRecipe(), scratch, os.Stdout, nil); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func testRecipe() banger.ImageRecipe {
	return banger.ImageRecipe{Suite: "bookworm", Include: []string{"ca-certificates"}}
}

// fakeMmdebstrap puts a script first in PATH in mmdebstrap's place.
func fakeMmdebstrap(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mmdebstrap"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// lingering starts children that outlive it unless they are killed. All hold
// the fifo "alive" in the scratch directory open.
const (
	holding   = `exec 9>"$TMPDIR/alive"; echo started >&9; `
	lingering = holding + stayOn
	stayOn    = `sleep 1000 & (sleep 1000 & sleep 1000) & sleep 1000`
)

// alive makes that fifo. The function it returns waits until all processes that
// hold it have ended; the channel is closed when they have started.
func alive(t *testing.T, scratch string) (started <-chan struct{}, ended func()) {
	t.Helper()
	path := filepath.Join(scratch, "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	up, down := make(chan struct{}), make(chan error, 1)
	go func() {
		f, err := os.Open(path) // waits for a writer
		if err != nil {
			down <- err
			return
		}
		defer f.Close()
		if _, err = io.ReadFull(f, make([]byte, len("started\n"))); err == nil {
			close(up)
			_, err = io.Copy(io.Discard, f)
		}
		down <- err
	}()
	return up, func() {
		t.Helper()
		select {
		case err := <-down:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("children of mmdebstrap run on")
		}
	}
}

func TestBuild_CancelKillsAllChildren(t *testing.T) {
	fakeMmdebstrap(t, lingering)
	scratch := t.TempDir()
	started, ended := alive(t, scratch)
	cause := errors.New("the user went home")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(cause)
	}()
	if err := New().Build(ctx, testRecipe(), scratch, io.Discard, nil); !errors.Is(err, cause) {
		t.Errorf("cancelled build: %v", err)
	}
	ended()
}

func TestBuild_KilledDaemonLeavesNoChildren(t *testing.T) {
	fakeMmdebstrap(t, lingering)
	scratch := t.TempDir()
	started, ended := alive(t, scratch)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.CommandContext(t.Context(), self)
	daemon.Env = append(os.Environ(), helperScratch+"="+scratch)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := daemon.Wait(); err == nil {
		t.Error("the daemon ended by itself")
	}
	ended()
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestBuild_StopsWhenTheStreamCannotBeWritten(t *testing.T) {
	fakeMmdebstrap(t, holding+"echo data; "+stayOn)
	scratch := t.TempDir()
	_, ended := alive(t, scratch)
	if err := New().Build(t.Context(), testRecipe(), scratch, fullDisk{}, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("build on a full disk: %v", err)
	}
	ended()
}

func TestBuild_GivesWhatTheRecipeSaysAndNothingOfOurEnvironment(t *testing.T) {
	fakeMmdebstrap(t, `for a; do echo "arg $a"; done; env`)
	t.Setenv("SECRET", "of the daemon")
	t.Setenv("http_proxy", "http://proxy:3128")
	r := testRecipe()
	r.Mirror = "http://mirror.example/debian"
	var out bytes.Buffer
	if err := New().Build(t.Context(), r, t.TempDir(), &out, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"useradd --create-home --shell /bin/bash dev ||", "arg --include=ca-certificates\n", "arg --\narg bookworm\narg -\narg http://mirror.example/debian\n", "INITRD=No\n", "http_proxy=http://proxy:3128\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("mmdebstrap did not get %q but\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "SECRET") {
		t.Error("mmdebstrap got the daemon's environment")
	}
}

func TestBuild_TellsItsStages(t *testing.T) {
	fakeMmdebstrap(t, `echo "I: running apt-get update..." >&2; printf 'noise 1%%\rnoise 2%%\r' >&2; echo "I: extracting archives..." >&2`)
	var stages []string
	if err := New().Build(t.Context(), testRecipe(), t.TempDir(), io.Discard, func(s string, _ float64) { stages = append(stages, s) }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"reading package lists", "extracting packages"}; !slices.Equal(stages, want) {
		t.Errorf("stages are %q, want %q", stages, want)
	}
}

func TestBuild_SaysWhatWentWrong(t *testing.T) {
	for output, want := range map[string]struct {
		code banger.Code
		text string
	}{
		"E: Unable to locate package nothng":                    {banger.CodeInvalid, "nothng"},
		"E: The repository 'x y' does not have a Release file.": {banger.CodeInvalid, "bookworm"},
		"W: The following signatures couldn't be verified":      {banger.CodeInvalid, "signature"},
		"Err: Temporary failure resolving 'deb.debian.org'":     {banger.CodeUnavailable, "cannot be reached"},
		"something new": {banger.CodeInternal, "something new"},
		"E: You don't have enough free space in /var/cache/apt/ar.": {banger.CodeInternal, "no space left"},
	} {
		fakeMmdebstrap(t, "cat >&2 <<'EOF'\nI: running\n"+output+"\nEOF\nexit 1")
		err := New().Build(t.Context(), testRecipe(), t.TempDir(), io.Discard, nil)
		if err == nil || banger.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%q gives %v (%s), want %s and %q", output, err, banger.CodeOf(err), want.code, want.text)
		}
	}
}

func TestBuild_NamesThePackageOfAMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := New().Build(t.Context(), testRecipe(), t.TempDir(), io.Discard, nil)
	var e *banger.Error
	if !errors.As(err, &e) || e.Code != banger.CodeMissing || !strings.Contains(e.Hint, "apt-get install mmdebstrap") {
		t.Errorf("without mmdebstrap: %v", err)
	}
}

func TestBuild_RefusesWhatCouldBeAnOption(t *testing.T) {
	fakeMmdebstrap(t, "exit 0")
	refused := []banger.ImageRecipe{
		{Suite: ""}, {Suite: "-"}, {Suite: "--help"}, {Suite: "book worm"}, {Suite: "a/b"},
	}
	for _, p := range []string{"", "a", "-o", "--hook", "foo,bar", "foo bar", "foo=1", "foo/sid", "foo-", "~n", "?x", "./a.deb", "/a.deb", "Foo", "a*", "ő1"} {
		refused = append(refused, banger.ImageRecipe{Suite: "bookworm", Include: []string{p}})
	}
	for _, m := range []string{"deb [trusted=yes] http://x y main", "-", "/etc/passwd", "file:///srv", "http://", "http://x y", "http://x/#f", "http://x/?q", "--x", "http://x\n"} {
		refused = append(refused, banger.ImageRecipe{Suite: "bookworm", Mirror: m})
	}
	for _, r := range refused {
		if err := New().Build(t.Context(), r, t.TempDir(), io.Discard, nil); banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%q: %v, want it refused", r, err)
		}
	}
	fine := banger.ImageRecipe{Suite: "bookworm-backports", Include: []string{"g++", "libstdc++6", "python3.11", "0ad"}, Mirror: "https://user@[::1]:8080/debian"}
	if err := New().Build(t.Context(), fine, t.TempDir(), io.Discard, nil); err != nil {
		t.Errorf("%q: %v", fine, err)
	}
}
