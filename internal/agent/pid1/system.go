package pid1

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"banger/internal/agent/device"
	"banger/internal/guestconfig"
)

// SessionsCgroup is where the sessions' cgroups are made.
const SessionsCgroup = "/sys/fs/cgroup/banger"

// The limit on open files that everything in the guest inherits; as systemd has it.
const (
	openFilesSoft = 1024
	openFilesHard = 512 << 10
)

// setUpSystem prepares the running system for the server, and returns the VM's
// configuration. Only what the server
// cannot do without is an error; the rest is logged.
func setUpSystem(ctx context.Context, log *slog.Logger, steps *timeline) (guestconfig.Config, error) {
	config, err := readConfig(guestconfig.RunConfig)
	if err != nil {
		return config, err
	}
	for _, m := range systemMounts {
		if err := m.do(); err != nil {
			return config, err
		}
	}
	openFiles := syscall.Rlimit{Cur: openFilesSoft, Max: openFilesHard}
	parts := map[string]error{
		"host name":     unix.Sethostname([]byte(config.Hostname)),
		"files in /etc": writeEtc("/etc", config),
		"links in /dev": linkDevices(),
		"log level":     os.WriteFile("/proc/sys/kernel/printk", []byte("4 4 1 7"), 0), // errors and worse
		"open files":    syscall.Setrlimit(syscall.RLIMIT_NOFILE, &openFiles),
	}
	if config.Init != guestconfig.InitSystemd { // which has cgroups and commands of its own
		parts["cgroups"] = setUpCgroups(SessionsCgroup)
		parts["applets"] = linkApplets("/usr/local/sbin", guestconfig.AgentPath)
	}
	for name, err := range parts {
		if err != nil {
			log.Warn("cannot set up "+name, "error", err)
		}
	}
	steps.mark("system")
	watcher, err := device.Watch()
	if err != nil {
		return config, err
	}
	defer watcher.Close()
	if err := setUpNetwork(ctx, watcher, config.Network); err != nil {
		return config, err
	}
	steps.mark("network")
	return config, nil
}

// linkDevices makes the links in /dev that the kernel leaves to user space, and
// the directories in /run that programs expect.
func linkDevices() error {
	var errs []error
	for name, target := range map[string]string{
		"/dev/fd":     "/proc/self/fd",
		"/dev/stdin":  "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1",
		"/dev/stderr": "/proc/self/fd/2",
	} {
		errs = append(errs, os.Symlink(target, name))
	}
	if err := os.Mkdir("/run/lock", 0o755); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, os.Chmod("/run/lock", os.ModeSticky|0o777))
	return errors.Join(errs...)
}

// setUpCgroups makes the subtree for sessions.
func setUpCgroups(root string) error {
	if err := os.Mkdir(root, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(enableControllers(filepath.Dir(root)), enableControllers(root))
}

// enableControllers enables in a cgroup the controllers that sessions are limited and counted
// by; see cgroup-v2, "Controllers".
func enableControllers(dir string) error {
	var errs []error
	for _, controller := range []string{"memory", "pids", "cpu"} {
		path := filepath.Join(dir, "cgroup.subtree_control")
		if err := os.WriteFile(path, []byte("+"+controller), 0); err != nil {
			errs = append(errs, fmt.Errorf("cannot enable %s: %w", controller, err))
		}
	}
	return errors.Join(errs...)
}

// HoldSessions makes the subtree for sessions out of the cgroup in which systemd has started
// this process, which moves into a part of it: a cgroup that passes controllers on may have no process of its
// own.
func HoldSessions() error {
	if err := os.Mkdir(SystemdShims, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot set up cgroups: %w", err)
	}
	if err := os.WriteFile(filepath.Join(SystemdShims, "cgroup.procs"), []byte("0"), 0); err != nil {
		return fmt.Errorf("cannot set up cgroups: %w", err)
	}
	if err := enableControllers(SystemdCgroup); err != nil {
		return fmt.Errorf("cannot set up cgroups: %w", err)
	}
	return nil
}

// linkApplets makes the commands that shut the system down work: those of the
// image talk to an init that does not run here. A file that is there is the
// user's and stays.
func linkApplets(dir, agent string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name := range applets {
		err := os.Symlink(agent, filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
