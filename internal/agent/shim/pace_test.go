package shim_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"banger/internal/sessiondir"
)

// A busy stream costs two writes and little more than one read for each 64 KiB, of which
// a pump that took what comes would do many more.
func TestShim_TakesABusyStreamInLargePieces(t *testing.T) {
	const mib = 128
	s := sh(t, fmt.Sprintf("read x; dd if=/dev/zero bs=4096 count=%d status=none; echo done >&2; read x", mib<<8), withPipe)
	reads, writes := calls(t, s.child.PID())
	s.mustSend(nil, "\n", false)
	waitFor(t, "all of it", func() bool { return s.log(sessiondir.StderrName) == "done\n" })
	readsThen, writesThen := calls(t, s.child.PID())
	if perMiB := (readsThen - reads) / mib; perMiB > 32 {
		t.Errorf("%d reads for each MiB; 16 are the least", perMiB)
	}
	if perMiB := (writesThen - writes) / mib; perMiB > 48 {
		t.Errorf("%d writes for each MiB; 32 are the least", perMiB)
	}
}

// calls returns how often a process has read and written; proc(5), /proc/PID/io.
func calls(t *testing.T, pid int) (reads, writes int) {
	t.Helper()
	f, err := os.Open("/proc/" + itoa(pid) + "/io")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "syscr: %d", &reads)
		_, _ = fmt.Sscanf(lines.Text(), "syscw: %d", &writes)
	}
	if reads == 0 || writes == 0 {
		t.Fatal("it tells nothing of its calls")
	}
	return reads, writes
}
