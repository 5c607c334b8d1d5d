package pid1

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// action is how a machine is to end.
type action string

const (
	actionPowerOff action = "power off"
	actionReboot   action = "reboot"
)

// applets are the names by which the agent, executed in the guest, asks its init
// to shut down. A halted machine would continue to burn the host's time, so halt
// powers off.
var applets = map[string]syscall.Signal{
	"poweroff": unix.SIGUSR2,
	"halt":     unix.SIGUSR1,
	"reboot":   unix.SIGINT,
}

// signalActions is what init does on a signal. The kernel sends SIGINT for
// ctrl-alt-del.
var signalActions = map[os.Signal]action{
	unix.SIGUSR1: actionPowerOff,
	unix.SIGUSR2: actionPowerOff,
	unix.SIGPWR:  actionPowerOff,
	unix.SIGTERM: actionPowerOff,
	unix.SIGINT:  actionReboot,
}

// IsApplet reports whether the agent was executed as one of its applets.
func IsApplet(name string) bool {
	_, ok := applets[name]
	return ok
}

// RunApplet asks init to shut the system down and returns when it knows.
func RunApplet(name string) error {
	if err := unix.Kill(1, applets[name]); err != nil {
		return fmt.Errorf("cannot %s: %w", name, err)
	}
	return nil
}

// endMachine ends the machine at once; what is not on the disks is lost. It does
// not return.
func endMachine(a action, log *slog.Logger) {
	command := unix.LINUX_REBOOT_CMD_POWER_OFF
	if a == actionReboot {
		command = unix.LINUX_REBOOT_CMD_RESTART
	}
	unix.Sync()
	// The console's last lines are on their way: TCSBRK with 1 waits, as tcdrain(3).
	_ = unix.IoctlSetInt(int(os.Stderr.Fd()), unix.TCSBRK, 1)
	err := unix.Reboot(command)
	log.Error("cannot "+string(a), "error", err)
	select {} // were init to end, the kernel would panic
}

// powerOffOnPanic is deferred by init: a defect must end the machine with a
// message and clean disks, where the end of init would be a kernel panic.
func powerOffOnPanic(log *slog.Logger) {
	if r := recover(); r != nil {
		log.Error("init failed", "panic", r, "stack", string(debug.Stack()))
		endMachine(actionPowerOff, log)
	}
}
