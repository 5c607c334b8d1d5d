package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// versions say on what machine something was measured, and with what.
type versions struct {
	CPU     string `json:"cpu"`
	CPUs    int    `json:"cpus"`
	Kernel  string `json:"kernel"`
	QEMU    string `json:"qemu"`
	OpenSSH string `json:"openssh"`
	Tmux    string `json:"tmux"`
	Dtach   string `json:"dtach"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
}

func thisMachine(b *testing.B) versions {
	b.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		b.Fatal(err)
	}
	return versions{
		CPU: cpuModel(b), CPUs: runtime.NumCPU(), Kernel: unix.ByteSliceToString(name.Release[:]), Go: runtime.Version(),
		QEMU: firstLine(b, "qemu-system-x86_64", "--version"), OpenSSH: firstLine(b, "ssh", "-V"),
		Tmux: firstLine(b, "tmux", "-V"), Dtach: firstLine(b, "sh", "-c", "dtach --version || true"),
		Commit: firstLine(b, "git", "describe", "--always", "--dirty"),
	}
}

func cpuModel(b *testing.B) string {
	b.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// firstLine returns what a program prints first, on either stream.
func firstLine(b *testing.B, name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatal(fmt.Errorf("cannot ask %s for its version: %w", name, err))
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
