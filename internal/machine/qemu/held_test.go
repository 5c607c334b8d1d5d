package qemu

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"banger/internal/process"
)

func TestVMM_WaitEndsWithErrClosed(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	id, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 100 { // closed before, while and after it begins to wait
		p, err := holdProcess(id)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- p.wait() }()
		for range n {
			runtime.Gosched()
		}
		if err := p.close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			t.Fatalf("the wait ended with: %v", err)
		}
	}
}
