package installation

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Processes returns the pids of all processes that have text in a file of their
// /proc/PID: cmdline or environ. One that has ended but is not reaped has neither.
func Processes(t testing.TB, file, text string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// Processes come and go, and some are not ours to read.
		data, err := os.ReadFile(filepath.Join("/proc", e.Name(), file))
		if err == nil && bytes.Contains(data, []byte(text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}
