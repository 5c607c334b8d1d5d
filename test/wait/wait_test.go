package wait_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"banger/test/wait"
)

// failing is a test that keeps what it fails with.
type failing struct{ message string }

func (*failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) { f.message = fmt.Sprintf(format, args...) }

func TestFor_ReturnsAsSoonAsItIsSoAndFailsIfItNeverIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		wait.For(t, "a second", func() bool { return time.Since(begun) >= time.Second })
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var f failing
		wait.For(&f, "a miracle", func() bool { return f.message != "" })
		if !strings.Contains(f.message, "a miracle") {
			t.Errorf("it failed with %q", f.message)
		}
	})
}

func TestGone_WaitsForTheEndOfAProcess(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Process.Kill() }()
	wait.Gone(t, cmd.Process)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	wait.Gone(t, cmd.Process) // nor is it waited for once more
}
