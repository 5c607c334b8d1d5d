package process_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

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

// threadOf returns the identity that a process would have had whose pid a thread of this one
// has now, which stays until the test ends.
func threadOf(t *testing.T, like process.Identity) process.Identity {
	t.Helper()
	tid, end := make(chan int), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		tid <- unix.Gettid()
		<-end
	}()
	t.Cleanup(func() { close(end) })
	like.PID = <-tid
	if like.PID == os.Getpid() {
		return threadOf(t, like) // it was the first one, which is the process
	}
	return like
}

// A host that is out of descriptors does not know whether a process lives: to take it for
// gone would be to forget a machine that runs.
func TestOpen_ThatCannotLookDoesNotTakeAProcessForGone(t *testing.T) {
	_, id := start(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for room := range uint64(3) {
		opened, err := withRoomFor(t, limit, room, id.Open)
		if err == nil {
			opened.Close()
		}
		if errors.Is(err, process.ErrGone) {
			t.Errorf("with room for %d descriptors the process that lives is gone: %v", room, err)
		}
	}
}

// withRoomFor calls open while this process may open so many more descriptors.
func withRoomFor(t *testing.T, limit unix.Rlimit, room uint64, open func() (*os.File, error)) (*os.File, error) {
	t.Helper()
	next, err := os.Open(os.DevNull) // the lowest that is free
	if err != nil {
		t.Fatal(err)
	}
	lowest := uint64(next.Fd())
	next.Close()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: lowest + room, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}()
	return open()
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
	other, thread, earlier := id, threadOf(t, id), threadOf(t, id)
	other.StartTime++
	thread.StartTime++
	earlier.BootID = "an earlier one"
	for name, gone := range map[string]process.Identity{
		"another of that pid": other, "none": {}, "a thread of that number": thread, "a thread of that number since the host booted": earlier,
	} {
		if err := gone.AwaitEnd(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
