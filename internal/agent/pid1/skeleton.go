package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is one that a system needs, with its mode.
type directory struct {
	name string
	mode os.FileMode
}

// mountPoints are those on which the agent mounts: whatever else an image has by such a
// name is replaced, since a link there would lead into the initramfs.
func mountPoints() []directory {
	return []directory{{"proc", 0o555}, {"sys", 0o555}, {"dev", 0o755}, {"run", 0o755}, {"root", 0o700}}
}

// usualDirectories are those that programs expect and that not every image has: one may
// consist of one program. What an image has by such a name stays.
func usualDirectories() []directory {
	return []directory{{"etc", 0o755}, {"tmp", os.ModeSticky | 0o777}}
}

// makeDirectories makes the directories in a root that it lacks.
func makeDirectories(root string) error {
	for _, d := range mountPoints() {
		info, err := os.Lstat(filepath.Join(root, d.name))
		if err == nil && info.IsDir() {
			continue
		}
		if err == nil {
			err = os.Remove(filepath.Join(root, d.name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot make directory /%s: %w", d.name, err)
		}
		if err := d.make(root); err != nil {
			return err
		}
	}
	for _, d := range usualDirectories() {
		if _, err := os.Lstat(filepath.Join(root, d.name)); err == nil {
			continue
		}
		if err := d.make(root); err != nil {
			return err
		}
	}
	return nil
}

// make makes it with its mode, whatever the umask is.
func (d directory) make(root string) error {
	path := filepath.Join(root, d.name)
	err := os.Mkdir(path, 0o700)
	if err == nil {
		err = os.Chmod(path, d.mode)
	}
	if err != nil {
		return fmt.Errorf("cannot make directory /%s: %w", d.name, err)
	}
	return nil
}
