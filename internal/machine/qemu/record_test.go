package qemu

import (
	"errors"
	"os/exec"
	"testing"

	"banger/internal/process"
)

// A machine's process becomes QEMU by execve(2), and for a moment has no command
// line then. Whoever adopts it just then must not take it for another.
func TestRecord_KnowsItsProcessWhileThatBecomesQEMU(t *testing.T) {
	const again = `if [ "$1" = 0 ]; then read -r _; else exec sh -c "$2" "$0" $(($1 - 1)) "$2"; fi`
	r := record{Name: "banger-test-machine"}
	cmd := exec.Command("sh", "-c", again, r.Name, "500", again)
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); _ = cmd.Wait() }()
	if r.Process, err = process.Identify(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for range 20_000 {
		p, err := r.open()
		if err != nil {
			t.Fatal(err)
		}
		p.close()
	}
	r.Name += "-of-another"
	if _, err := r.open(); !errors.Is(err, process.ErrGone) {
		t.Errorf("the process of another name: %v, want %v", err, process.ErrGone)
	}
}
