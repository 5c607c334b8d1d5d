package machine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"banger"
)

const (
	// startRoom is what has to be free where the VMs are before one is made or started:
	// an initrd, and what a guest writes while it boots.
	startRoom = 256 << 20
	// resumeRoom is what has to be free before a machine continues that was paused because
	// there was none. It is more than the store's reserve, which is to stay the store's.
	resumeRoom = 128 << 20
)

// room is what is free in the file system of a directory.
type room struct {
	dir  string
	free int64 // bytes, for this user
}

func (s *Service) room() (room, error) {
	r := room{dir: s.Paths.VMs()}
	var fs unix.Statfs_t
	if err := unix.Statfs(r.dir, &fs); err != nil {
		return r, fmt.Errorf("cannot look at the room in %s: %w", r.dir, err)
	}
	r.free = int64(fs.Bavail) * fs.Bsize //nolint:gosec // what a disk has
	return r, nil
}

// checkRoom fails if the host's disk is so full that a machine would only be paused.
func (s *Service) checkRoom(verb, name string) error {
	r, err := s.room()
	if err != nil {
		return err
	}
	if r.free >= startRoom {
		return nil
	}
	return banger.Errorf(banger.CodeMissing, "cannot %s VM %s: the host's disk is full: %s has %s free, and %s are needed", verb, name, r.dir, mib(r.free), mib(startRoom)).
		WithHint("free some space, for example with: banger vm delete NAME; banger doctor shows what uses it")
}

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
