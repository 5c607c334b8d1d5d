package pid1

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"banger/internal/agent/device"
	"banger/internal/guestconfig"
)

// maxConfigBytes bounds the configuration file.
const maxConfigBytes = 1 << 20

// boot puts the root file system together and makes it this process's. It
// returns false, without an error, if the machine is to power off at once.
func boot(ctx context.Context, log *slog.Logger, steps *timeline) (goOn bool, err error) {
	for _, m := range kernelMounts {
		if err := m.do(); err != nil {
			return false, err
		}
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil || hasParameter(string(cmdline), powerOffParameter) {
		return false, err
	}
	config, err := readConfig(guestconfig.InitrdConfig)
	if err != nil {
		return false, err
	}
	watcher, err := device.Watch()
	if err != nil {
		return false, err
	}
	defer watcher.Close()
	if err := loadModules(guestconfig.InitrdModules, log); err != nil {
		return false, err
	}
	steps.mark("modules")
	found, err := findDisks(ctx, watcher, config)
	if err != nil {
		return false, err
	}
	if err := mountRoot(found, config.User); err != nil {
		return false, err
	}
	steps.mark("disks")
	if err := installAgent(config); err != nil {
		return false, err
	}
	return true, switchRoot(len(found.images))
}

// readConfig reads the VM's configuration.
func readConfig(path string) (guestconfig.Config, error) {
	var config guestconfig.Config
	f, err := os.Open(path)
	if err != nil {
		return config, fmt.Errorf("cannot read configuration: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxConfigBytes)).Decode(&config); err != nil {
		return config, fmt.Errorf("cannot read configuration %s: %w", path, err)
	}
	return config, nil
}

// installAgent puts what the running system needs of the initramfs into its
// /run. The programs are not copied: their directory stays in the initramfs, in
// memory, and is mounted there too. Any user may execute the agent, which serves
// sftp with that user's rights; the configuration holds the host key.
func installAgent(config guestconfig.Config) error {
	if err := os.Mkdir(programsDir, 0o755); err != nil {
		return fmt.Errorf("cannot install the agent: %w", err)
	}
	for from, to := range map[string]string{
		guestconfig.InitrdAgent: guestconfig.AgentPath,
		guestconfig.InitrdShim:  guestconfig.ShimPath,
	} {
		if err := os.Rename(from, filepath.Join(programsDir, filepath.Base(to))); err != nil {
			return fmt.Errorf("cannot install the agent: %w", err)
		}
	}
	if config.Init == guestconfig.InitSystemd {
		if err := prepareFinish(programsDir); err != nil {
			return err
		}
	}
	programs := mount{programsDir, newRoot + filepath.Dir(guestconfig.AgentPath), "", unix.MS_BIND, ""}
	if err := programs.do(); err != nil {
		return err
	}
	data, err := os.ReadFile(guestconfig.InitrdConfig)
	if err != nil {
		return fmt.Errorf("cannot install the configuration: %w", err)
	}
	if err := os.WriteFile(newRoot+guestconfig.RunConfig, data, 0o600); err != nil {
		return fmt.Errorf("cannot install the configuration: %w", err)
	}
	return nil
}
