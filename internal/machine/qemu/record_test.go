package qemu

import (
	"bufio"
	"errors"
	"os/exec"
	"testing"

	"banger/internal/process"
)

// A machine's process becomes QEMU by execve(2), and for a moment has no command
// line then. Whoever adopts it just then must not take it for another.
func TestRecord_KnowsItsProcessWhileThatBecomesQEMU(t *testing.T) {
	const again = `exec sh -c "$1" "$0" "$1"`
	r := record{Name: "banger-test-machine"}
	cmd := exec.Command("sh", "-c", "echo begun; "+again, r.Name, again)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // else it may still have our own command line
		t.Fatal(err)
	}
	if r.Process, err = process.Identify(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	for range 200 {
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
