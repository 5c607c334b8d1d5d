//go:build !unit

package shim_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"banger/sessionstream"
	"banger/test/wait"
)

// Two pipes hold no order of what was written to them, but the shim is told which of
// them had something first, however late it comes to read them.
func TestOrder_OfTwoStreamsIsThatOfTheirWritesThoughBothWait(t *testing.T) {
	for name, script := range map[string]string{
		"stdout first":                    "echo a; echo b >&2; echo > '%s'; read x",
		"stderr first":                    "echo a >&2; echo b; echo > '%s'; read x",
		"stdout first and the end behind": "echo a; echo b >&2; echo > '%s'",
		"stderr first and the end behind": "echo a >&2; echo b; echo > '%s'",
	} {
		t.Run(name, func(t *testing.T) {
			hold, goOn := held(t)
			written := filepath.Join(t.TempDir(), "written")
			if err := syscall.Mkfifo(written, 0o600); err != nil {
				t.Fatal(err)
			}
			s := sh(t, hold+fmt.Sprintf(script, written), withPipe)
			live := s.attach(viewer(0))
			if err := syscall.Kill(s.child.PID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			wait.For(t, "the shim to stop", func() bool { return processState(s.child.PID()) == "T" })
			goOn()
			if _, err := os.ReadFile(written); err != nil { // waits for the writer
				t.Fatal(err)
			}
			if err := syscall.Kill(s.child.PID(), syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			var mixed strings.Builder
			until(t, live, "both lines", func(m sessionstream.Message, _ output) bool {
				mixed.Write(m.Data)
				return mixed.Len() == len("a\nb\n")
			})
			if mixed.String() != "a\nb\n" {
				t.Errorf("the order is %q", mixed.String())
			}
		})
	}
}

// A command may make a pipe of packets of its output, of which each read gives one.
func TestOutput_OfPacketsIsWhole(t *testing.T) {
	s := sh(t, "dd if=/dev/zero bs=1000 count=200 oflag=direct status=none; dd if=/dev/zero bs=1000 count=200 oflag=direct status=none >&2")
	s.wait()
	if out, err := len(s.log("stdout.log")), len(s.log("stderr.log")); out != 200_000 || err != 200_000 {
		t.Errorf("there are %d and %d bytes, want 200,000 each", out, err)
	}
}
