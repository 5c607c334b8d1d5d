//go:build !unit

package daemon

import (
	"bufio"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"banger"
)

func TestLock_TheSecondDaemonIsToldWhoIsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.lock")
	l, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := lock(path); banger.CodeOf(err) != banger.CodeExists {
		t.Errorf("a second lock: %v", err)
	}
}

// opens is a script that holds its third argument open until it is ended.
const opens = `exec 3<"$2"; echo open; read x`

// A build whose lock lay in XDG_RUNTIME_DIR cannot be seen by ours.
func TestPredecessor_ThatHasTheDatabaseOpenIsEndedAndNoOther(t *testing.T) {
	dir := t.TempDir()
	database, other := filepath.Join(dir, "db"), filepath.Join(dir, "other")
	// The shell's first argument is the script, so that it looks like banger daemon run.
	err := errors.Join(os.WriteFile(database, nil, 0o600), os.WriteFile(other, nil, 0o600),
		os.WriteFile(filepath.Join(dir, "daemon"), []byte(opens), 0o600), os.WriteFile(filepath.Join(dir, "shell"), []byte(opens), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	begin := func(script, file string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", script, "run", file)
		cmd.Dir = dir
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		return cmd
	}
	predecessor, foreign, reader := begin("daemon", database), begin("daemon", other), begin("shell", database)
	if err := endPredecessors(t.Context(), database, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	_ = predecessor.Wait()
	if status := predecessor.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("the older daemon ended with %v", predecessor.ProcessState)
	}
	for _, cmd := range []*exec.Cmd{foreign, reader} {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Errorf("a process that is not such a daemon ended with %v", cmd.ProcessState)
		}
	}
}
