package process_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"

	"banger/internal/process"
)

// start starts a process that ends when it is killed.
func start(t *testing.T) (*exec.Cmd, process.Identity) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	id, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return cmd, id
}

func TestAwaitEnd_ReturnsWithTheProcess(t *testing.T) {
	cmd, id := start(t)
	result := make(chan error, 1)
	go func() { result <- id.AwaitEnd(t.Context()) }()
	select {
	case err := <-result:
		t.Fatalf("of a process that lives: %v", err)
	default:
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := id.AwaitEnd(t.Context()); err != nil {
		t.Errorf("of a zombie: %v", err)
	}
}

func TestAwaitEnd_ReturnsWithItsContext(t *testing.T) {
	_, id := start(t)
	left := errors.New("left")
	ctx, cancel := context.WithCancelCause(t.Context())
	result := make(chan error, 1)
	go func() { result <- id.AwaitEnd(ctx) }()
	cancel(left)
	if err := <-result; !errors.Is(err, left) {
		t.Error(err)
	}
}

func TestAwaitEnd_OfNoSuchProcessIsOver(t *testing.T) {
	_, id := start(t)
	other := id
	other.StartTime++
	for name, gone := range map[string]process.Identity{"another of that pid": other, "none": {}} {
		if err := gone.AwaitEnd(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
