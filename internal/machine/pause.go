package machine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"banger"
	"banger/internal/vmm"
)

// pauses is what a run knows of its machine's pauses. Safe for concurrent use.
type pauses struct {
	mu      sync.Mutex // guards the fields below
	status  vmm.PauseStatus
	changed chan struct{}     // closed and replaced at each change of status
	conns   map[net.Conn]bool // of the link, while the machine runs
}

func newPauses() *pauses {
	return &pauses{changed: make(chan struct{}), conns: map[net.Conn]bool{}}
}

// now returns the status, and what is closed when that is over.
func (p *pauses) now() (vmm.PauseStatus, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, p.changed
}

// set takes a status. A pause closes the connections to the guest: who waits for an
// answer learns that none will come.
func (p *pauses) set(s vmm.PauseStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = s
	close(p.changed)
	p.changed = make(chan struct{})
	if s.Pause == vmm.NotPaused {
		return
	}
	for conn := range p.conns {
		conn.Close()
	}
	clear(p.conns)
}

// await returns nil as soon as the machine runs, and fails when it has ended.
func (p *pauses) await(ctx context.Context, ended <-chan struct{}) error {
	for {
		status, changed := p.now()
		if status.Pause == vmm.NotPaused {
			return nil
		}
		select {
		case <-changed:
		case <-ended:
			return vmm.ErrMachineGone
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add keeps a connection as long as the machine runs.
func (p *pauses) add(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status.Pause != vmm.NotPaused {
		conn.Close()
		return
	}
	p.conns[conn] = true
}

func (p *pauses) remove(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// awake is a machine as its link sees it: while it is paused, there is no guest.
type awake struct {
	vmm.Dialer
	pauses *pauses
}

// WaitReady implements vmm.Machine.
func (a awake) WaitReady(ctx context.Context) error {
	if err := a.pauses.await(ctx, a.Done()); err != nil {
		return err
	}
	return a.Dialer.WaitReady(ctx)
}

// Dial implements vmm.Dialer.
func (a awake) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := a.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	a.pauses.add(conn)
	return awakeConn{conn, a.pauses}, nil
}

type awakeConn struct {
	net.Conn
	pauses *pauses
}

func (c awakeConn) Close() error {
	c.pauses.remove(c.Conn)
	return c.Conn.Close()
}

// pauseFollower follows the pauses of one machine.
type pauseFollower struct {
	id      banger.VMID
	machine vmm.Machine
	pauses  *pauses
	store   Store
	room    room
	log     *slog.Logger
}

// follow records the pauses of a machine and continues it from those that are
// ours to end, until ctx ends or the machine does.
func (f *pauseFollower) follow(ctx context.Context) {
	m, ok := f.machine.(vmm.PausingMachine)
	if !ok {
		return
	}
	var tasks sync.WaitGroup
	defer tasks.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks.Go(func() { f.recordAll(ctx) })
	tasks.Go(func() { f.endAll(ctx, m) })
	if err := m.FollowPauses(ctx, f.pauses.set); err != nil {
		f.log.Warn("cannot tell whether a machine is paused", "vm", f.id, "cause", err)
	}
}

// recordAll keeps the record true. The store may be on the disk that is full: it is
// tried again until it has taken the newest status.
func (f *pauseFollower) recordAll(ctx context.Context) {
	for {
		status, changed := f.pauses.now()
		var again <-chan time.Time
		if err := f.record(ctx, status); err != nil {
			f.log.Warn("cannot record that a machine is paused, or continues", "vm", f.id, "cause", err)
			again = time.After(recordRetry)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return
		}
	}
}

func (f *pauseFollower) record(ctx context.Context, status vmm.PauseStatus) error {
	_, err := f.store.UpdateVM(ctx, f.id, func(vm *banger.VM) error {
		paused := status.Pause != vmm.NotPaused
		switch {
		case paused && (vm.State == banger.VMStarting || vm.State == banger.VMRunning || vm.State == banger.VMPaused):
			vm.State, vm.LastError = banger.VMPaused, f.explain(status)
		case !paused && vm.State == banger.VMPaused:
			vm.State, vm.LastError = banger.VMStarting, ""
			if !vm.ReadyAt.IsZero() {
				vm.State = banger.VMRunning
			}
		}
		return nil
	})
	return err
}

// explain says in words why a machine is paused.
func (f *pauseFollower) explain(status vmm.PauseStatus) string {
	if status.Pause != vmm.PausedForStorage {
		return cmp.Or(status.Detail, "somebody has paused it, and continues it")
	}
	why := "the host did not take a write to its disk"
	if status.Detail != "" {
		why += ": " + status.Detail
	}
	if free, err := f.room.free(); err == nil && free < resumeRoom {
		return fmt.Sprintf("the host's disk is full: %s has %s free; it continues by itself at %s", f.room.dir, mib(free), mib(resumeRoom))
	}
	return why + "; it is tried again by itself"
}

// The pauses between two attempts to continue a machine. Nothing tells an ordinary
// process that a file system has room again (inotify(7) knows files, and fanotify(7)
// errors only), so that is looked at: one statfs(2), and only while a machine is paused.
const (
	minContinue = time.Second
	maxContinue = 10 * time.Second
)

// endAll continues a machine that is paused for storage, again and again, when the
// host may take the write. One that fails once more pauses it again.
func (f *pauseFollower) endAll(ctx context.Context, m vmm.PausingMachine) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = minContinue, maxContinue
	for {
		status, changed := f.pauses.now()
		var again <-chan time.Time
		if status.Pause == vmm.PausedForStorage {
			again = time.After(wait.NextBackOff())
		}
		select {
		case <-changed:
			continue
		case <-ctx.Done():
			return
		case <-again:
		}
		if free, err := f.room.free(); err == nil && free < resumeRoom {
			continue
		}
		if err := m.Continue(ctx, vmm.PausedForStorage); err != nil && ctx.Err() == nil {
			f.log.Warn("cannot continue a machine", "vm", f.id, "cause", err)
		}
	}
}

// checkStoppable fails for a machine that cannot shut down, since it is paused and the
// host does not take what its guest has to write. Who pauses machines by hand wants this
// one continued.
func (f *pauseFollower) checkStoppable(ctx context.Context) error {
	status, changed := f.pauses.now()
	m, ok := f.machine.(vmm.PausingMachine)
	if !ok || status.Pause == vmm.NotPaused {
		return nil
	}
	if free, err := f.room.free(); status.Pause == vmm.PausedForStorage && (err != nil || free < resumeRoom) {
		return f.unstoppable(status)
	}
	if err := m.Continue(ctx, status.Pause); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, continuePatience)
	defer cancel()
	select {
	case <-changed:
	case <-bounded.Done():
	case <-m.Done():
	}
	return ctx.Err()
}

// continuePatience is how long a machine may take to say that it continues.
const continuePatience = 5 * time.Second

// unstoppable is why a machine is not ended: what that would lose.
func (f *pauseFollower) unstoppable(status vmm.PauseStatus) error {
	return banger.Errorf(banger.CodeUnavailable, "it is paused, so its guest cannot shut down, and data that it has not written to its disk would be lost: %s",
		f.explain(status)).
		WithHint("make room on the host's disk, or end it all the same with a grace time of 0: banger vm stop --grace 0 %s", f.id)
}
