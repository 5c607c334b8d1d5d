package initrd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// In a pid namespace reboot(2) with LINUX_REBOOT_CMD_POWER_OFF kills the
// namespace's init with SIGINT instead (pid_namespaces(7)): so the very machine
// code runs here, and does no harm.
func TestPoweroff_InitAsksTheKernelToPowerOff(t *testing.T) {
	var b bytes.Buffer
	if err := Poweroff(&b); err != nil {
		t.Fatal(err)
	}
	init := filepath.Join(t.TempDir(), "init")
	r := records(t, b.Bytes())["/init"]
	if err := os.WriteFile(init, []byte(content(t, r)), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), init)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	err := cmd.Run()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("init ended with %v, want SIGINT of its namespace being powered off", err)
	}
	if r.FileSize > 200 {
		t.Errorf("init has %d bytes", r.FileSize)
	}
}
