package shimclient

import (
	"fmt"
	"os"

	"banger/internal/process"
)

// Child is a shim process that this process has started. Wait must be called,
// once, by whoever called Launch, else a zombie stays; if this process ends first,
// the shim continues and is reaped by whoever adopts it.
type Child struct {
	process *os.Process
	pidfd   *os.File // nil on kernels without pidfds
}

// PID returns the shim's process id, valid until Wait returns.
func (c *Child) PID() int { return c.process.Pid }

// Wait returns when the shim has ended, and reaps it. While it waits it needs a
// goroutine but no thread.
func (c *Child) Wait() error {
	if c.pidfd != nil {
		defer c.pidfd.Close()
		if raw, err := c.pidfd.SyscallConn(); err == nil {
			// A pidfd becomes readable when its process ends; pidfd_open(2). If it
			// cannot be polled, the wait below blocks instead.
			_ = raw.Read(process.Ended)
		}
	}
	state, err := c.process.Wait()
	if err != nil {
		return fmt.Errorf("cannot wait for shim: %w", err)
	}
	if !state.Success() {
		return fmt.Errorf("the shim ended with %s", state)
	}
	return nil
}

// hasEnded reports whether the child has ended, without reaping it.
func (c *Child) hasEnded() (yes bool) {
	if c.pidfd == nil {
		stat, err := process.ReadStat(c.PID()) // nobody else gets its pid before it is reaped
		return err != nil || stat.Ended()
	}
	raw, err := c.pidfd.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { yes = process.Ended(fd) })
	}
	return yes || err != nil
}
