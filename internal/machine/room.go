package machine

import (
	"fmt"

	"banger"
	"banger/internal/diskspace"
)

const (
	// startRoom is what has to be free where the VMs are before one is made or started:
	// an initrd, and what a guest writes while it boots.
	startRoom = 256 << 20
	// resumeRoom is what has to be free before a machine continues that was paused because
	// there was none. It is more than the store's reserve, which is to stay the store's.
	resumeRoom = 128 << 20
)

// room is what is free where the VMs are.
type room struct{ dir string }

// free returns how many bytes are free where the VMs are.
func (r room) free() (int64, error) {
	space, err := diskspace.Of(r.dir)
	return space.Free, err
}

// check fails if the host's disk is so full that a machine would only be paused.
func (r room) check(verb, name string) error {
	free, err := r.free()
	if err != nil {
		return err
	}
	if free >= startRoom {
		return nil
	}
	return banger.Errorf(banger.CodeMissing, "cannot %s VM %s: the host's disk is full: %s has %s free, and %s are needed", verb, name, r.dir, mib(free), mib(startRoom)).
		WithHint("free some space, for example with: banger vm delete NAME; banger doctor shows what uses it")
}

func mib(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
