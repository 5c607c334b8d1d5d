package pid1

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// maxModules bounds the list of modules; a kernel of Debian has some 4,000.
const maxModules = 10_000

// parseModules reads the list of guestconfig.InitrdModules: one absolute path a
// line, in the order of loading.
func parseModules(list []byte) ([]string, error) {
	var paths []string
	for line := range bytes.Lines(list) {
		path := string(bytes.TrimSpace(line))
		switch {
		case path == "":
		case path[0] != '/':
			return nil, fmt.Errorf("cannot read list of modules: %q is not an absolute path", path)
		case len(paths) == maxModules:
			return nil, fmt.Errorf("cannot read list of modules: it has more than %d", maxModules)
		default:
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// loadModules loads the modules of a list in order. One that does not load is
// logged only: if it is needed, the step that needs it says so with more sense.
func loadModules(list string, log *slog.Logger) error {
	data, err := os.ReadFile(list)
	if err != nil {
		return fmt.Errorf("cannot read list of modules: %w", err)
	}
	paths, err := parseModules(data)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			log.Warn("cannot load kernel module", "path", path, "error", err)
		}
	}
	return nil
}

// loadModule loads one module; one that is loaded already is fine. See
// finit_module(2).
func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
