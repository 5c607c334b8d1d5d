package pid1

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"banger/internal/guestconfig"
)

// finishName is the name by which systemd executes the agent as the last program of a
// shutdown: systemd-shutdown(8) makes /run/initramfs its root and executes /shutdown there.
const (
	finishName = "shutdown"
	finishDir  = "/run/initramfs"
	oldRoot    = "/oldroot" // where the system is then
)

// systemdPowerOff is the signal by which systemd starts poweroff.target: SIGRTMIN+4 by glibc's
// count; systemd(1), "Signals".
const systemdPowerOff = syscall.Signal(34 + 4)

// prepareFinish makes of the directory with the agent the root that systemd changes to at the
// end, in which it mounts the kernel's file systems and the system.
func prepareFinish(dir string) error {
	agent := filepath.Join(dir, filepath.Base(guestconfig.AgentPath))
	if err := os.Link(agent, filepath.Join(dir, finishName)); err != nil {
		return fmt.Errorf("cannot prepare the shutdown: %w", err)
	}
	for _, name := range []string{"proc", "sys", "dev", "run", oldRoot} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			return fmt.Errorf("cannot prepare the shutdown: %w", err)
		}
	}
	return nil
}

// handOver makes the system what systemd expects, with the units of the agent, and executes
// it in the place of this process. It returns only if it cannot.
func handOver(config guestconfig.Config, log *slog.Logger) error {
	program, err := findSystemd("/")
	if err != nil {
		return err
	}
	if err := identify("/", disksDir+"/system", config.VMID); err != nil {
		return err
	}
	if err := writeRuntime("/run", config); err != nil {
		return err
	}
	finish := mount{filepath.Dir(guestconfig.AgentPath), finishDir, "", unix.MS_BIND, ""}
	if err := finish.do(); err != nil {
		return err
	}
	log.Info("systemd takes over", "program", program)
	// What the kernel leaves to an init; systemd gives its services an environment of its own.
	env := []string{"HOME=/", "TERM=linux", "PATH=" + defaultPath}
	return fmt.Errorf("cannot execute %s: %w", program, unix.Exec(program, []string{program}, env))
}

// findSystemd returns where the system below root has systemd, as a path there.
func findSystemd(root string) (string, error) {
	for _, name := range guestconfig.SystemdPrograms() {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return "/" + name, nil
		}
	}
	return "", fmt.Errorf("cannot have systemd as init: the image has no executable /%s", strings.Join(guestconfig.SystemdPrograms(), " or /"))
}

// systemdMounts are the mount units of what the agent has mounted and its units need until they
// have stopped.
func systemdMounts(config guestconfig.Config) []string {
	targets := []string{guestconfig.WorkDir, filepath.Dir(guestconfig.AgentPath)}
	if home, err := userHome("/", config.User); err == nil && home != "" {
		targets = append(targets, home)
	}
	var units []string
	for _, t := range targets {
		units = append(units, escapePath(t)+".mount")
	}
	return units
}

// escapePath is the name of a unit for a path; systemd.unit(5), "String escaping".
func escapePath(path string) string {
	var out strings.Builder
	for i, c := range []byte(strings.Trim(path, "/")) {
		switch {
		case c == '/':
			out.WriteByte('-')
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == ':', c == '.' && i > 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, `\x%02x`, c)
		}
	}
	return out.String()
}

// PowerOffSystemd asks systemd, the init of this guest, to shut the system down.
func PowerOffSystemd() error {
	if err := unix.Kill(1, systemdPowerOff); err != nil {
		return fmt.Errorf("cannot ask systemd to power off: %w", err)
	}
	return nil
}

// IsFinish reports whether systemd has executed the agent to end the machine.
func IsFinish(name string) bool { return name == finishName }

// Finish ends the machine when systemd has shut the system down; verb is how, as
// systemd-shutdown calls it. Every process but this one has ended. What systemd could not
// unmount since it ran from it lies below oldRoot. Finish does not return.
func Finish(verb string, log *slog.Logger) {
	defer powerOffOnPanic(log)
	requested := finishAction(verb)
	config, err := readConfig(guestconfig.RunConfig)
	if err != nil {
		log.Error("cannot announce the end", "error", err)
	}
	if err := linkDown(networkInterface); err != nil {
		log.Warn("cannot take the network down", "error", err)
	}
	unmountAll(log)
	// Without a process in it nothing is left that could delay this.
	if err := unix.Unmount(oldRoot, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		log.Error("cannot unmount the system", "error", err)
	}
	if requested == actionPowerOff && err == nil {
		readyPort(config.ReadyPort).announceOff(log)
	}
	endMachine(requested, log)
}

// finishAction is how the machine ends for a verb of systemd-shutdown. A halted machine would
// continue to burn the host's time, and there is no kernel for kexec.
func finishAction(verb string) action {
	if verb == "reboot" || verb == "kexec" {
		return actionReboot
	}
	return actionPowerOff
}
