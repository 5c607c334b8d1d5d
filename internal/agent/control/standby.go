package control

import (
	"context"
	"runtime"
	"time"

	"banger/internal/agent/shimclient"
)

// standby keeps one shim started for the next launch: to start a process takes longer
// than all else that a launch does. Safe for concurrent use.
type standby struct {
	shim  program
	group string                   // as Config.ShimCgroup
	ready chan *shimclient.Standby // what nobody takes stays its keeper's
	wake  chan time.Duration       // gets what a launch took, after it
	pause bool                     // between a launch and the start of the next shim
}

func newStandby(path, group string) *standby {
	return &standby{shim: openProgram(path), group: group, ready: make(chan *shimclient.Standby), wake: make(chan time.Duration, 1), pause: runtime.NumCPU() == 1}
}

// run keeps it until ctx ends. It starts the next one when the launch that has taken the
// last is over, which would have to share the CPU with it otherwise; where there is one
// CPU, as long after that as the launch took, since whoever asked for that has mostly
// more to ask. If none can be started, a launch will say why.
func (s *standby) run(ctx context.Context) {
	for {
		if shim, err := shimclient.Start(s.shim.path(), s.group); err == nil {
			select {
			case s.ready <- shim:
			case <-ctx.Done():
				shim.Close()
				return
			}
		}
		var took time.Duration
		select {
		case took = <-s.wake:
		case <-ctx.Done():
			return
		}
		if s.pause {
			select {
			case <-time.After(took):
			case <-ctx.Done():
				return
			}
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
	return shimclient.Start(s.shim.path(), s.group)
}

// next has another one started, if it was taken, after a launch that took so long.
func (s *standby) next(took time.Duration) {
	select {
	case s.wake <- took:
	default:
	}
}
