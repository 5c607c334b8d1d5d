package pid1

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"banger/internal/guestconfig"
)

// SystemdCgroup is where the sessions' cgroups are made in a guest of systemd: that of a unit,
// which systemd leaves to us (Delegate=). SystemdShims, in it, has their shims.
const (
	SystemdCgroup = "/sys/fs/cgroup/banger.slice/banger-sessions.slice/banger-sessions.service"
	SystemdShims  = SystemdCgroup + "/shims"
)

// stopLimit is how long systemd waits for a service to stop whose unit does not say how long
// that may take. The host waits for 30 s, and what it kills then loses what is not written yet.
const stopLimit = 10 * time.Second

// runtimeFiles are what systemd reads of the agent: by their names, in which + stands for /,
// below /run/systemd.
//
//go:embed systemd
var runtimeFiles embed.FS

// askedBy are the targets that start the agent's units: what boots, or what is left when that
// fails.
func askedBy() []string { return []string{"sysinit.target", "emergency.target"} }

// maskedUnits would ask questions on a console that nobody reads.
func maskedUnits() []string {
	return []string{"systemd-firstboot.service", "systemd-homed-firstboot.service"}
}

// writeRuntime writes all that systemd has to know, below run, which is in memory: the image
// stays as it is.
func writeRuntime(run string, config guestconfig.Config) error {
	dir := filepath.Join(run, "systemd")
	entries, err := runtimeFiles.ReadDir("systemd")
	if err != nil {
		return fmt.Errorf("cannot write units: %w", err)
	}
	values := unitValues(config)
	for _, e := range entries {
		text, err := runtimeFiles.ReadFile("systemd/" + e.Name())
		if err != nil {
			return fmt.Errorf("cannot write units: %w", err)
		}
		path := filepath.Join(dir, strings.ReplaceAll(e.Name(), "+", "/"))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("cannot write units: %w", err)
		}
		if err := os.WriteFile(path, []byte(values.Replace(string(text))), 0o644); err != nil {
			return fmt.Errorf("cannot write units: %w", err)
		}
	}
	units := filepath.Join(dir, "system")
	var errs []error
	for _, target := range askedBy() {
		for _, unit := range []string{"banger-agent.service", "banger-end.service"} {
			errs = append(errs, link(filepath.Join("..", unit), filepath.Join(units, target+".wants", unit)))
		}
	}
	for _, unit := range maskedUnits() {
		errs = append(errs, link(os.DevNull, filepath.Join(units, unit)))
	}
	return errors.Join(errs...)
}

// unitValues are what differs from VM to VM, or is known here.
func unitValues(config guestconfig.Config) *strings.Replacer {
	return strings.NewReplacer(
		"@AGENT@", guestconfig.AgentPath,
		"@PATH@", defaultPath,
		"@MOUNTS@", strings.Join(systemdMounts(config), " "),
		"@INTERFACE@", networkInterface,
		"@ADDRESS@", config.Network.Address,
		"@GATEWAY@", config.Network.Gateway,
		"@DNS@", strings.Join(config.Network.DNS, " "),
		"@SESSIONS_STOP@", (shimsLimit + termLimit).String(),
		"@SERVICE_STOP@", stopLimit.String(),
	)
}

func link(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, path)
}
