package control

import (
	"context"

	"banger/internal/agent/shimclient"
)

// standby keeps one shim started for the next launch: to start a process takes longer
// than all else that a launch does. Safe for concurrent use.
type standby struct {
	path  string                   // of the shim
	ready chan *shimclient.Standby // what nobody takes stays its keeper's
	wake  chan struct{}            // has an element after a launch
}

func newStandby(path string) *standby {
	return &standby{path: path, ready: make(chan *shimclient.Standby), wake: make(chan struct{}, 1)}
}

// run keeps it until ctx ends. It starts the next one when the launch that has taken the
// last is over, which would have to share the CPU with it otherwise. If none can be
// started, a launch will say why.
func (s *standby) run(ctx context.Context) {
	for {
		if shim, err := shimclient.Start(s.path); err == nil {
			select {
			case s.ready <- shim:
			case <-ctx.Done():
				shim.Close()
				return
			}
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return
		}
	}
}

// take returns a shim that waits for its launch. The caller calls next after that.
func (s *standby) take() (*shimclient.Standby, error) {
	select {
	case shim := <-s.ready:
		if shim.Alive() {
			return shim, nil
		}
		shim.Close()
	default:
	}
	return shimclient.Start(s.path)
}

// next has another one started, if it was taken.
func (s *standby) next() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
