package workload

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"banger/internal/guestconfig"
)

// killOnRequest is the command of the session killer: it kills the processes of
// the agent that have a subcommand, for each line that names one.
func killOnRequest(requests io.Reader) error {
	for lines := bufio.NewScanner(requests); lines.Scan(); {
		cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, path := range cmdlines {
			data, err := os.ReadFile(path)
			argv := strings.Split(string(data), "\x00")
			if err != nil || len(argv) < 2 || argv[0] != guestconfig.AgentPath || argv[1] != lines.Text() {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return err
			}
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
	return nil
}
