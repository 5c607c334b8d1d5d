// Package inmem is a driver for tests: its machines live in this process, and
// their guest is a function that serves connections. It passes the same suite as
// the drivers of real machines.
package inmem

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"banger"
	"banger/internal/files"
	"banger/internal/vmm"
)

// Driver implements vmm.Starter and vmm.ConsoleLogger. Drivers made of one by Another share its
// machines, as the processes of one host do.
type Driver struct {
	host *host
}

// Guest is what runs inside a machine. Its functions are called for every
// machine of a host, from several goroutines.
type Guest struct {
	// Serve is called with each connection to the guest's SSH server, from when
	// Boot has returned. It closes conn, and returns when conn is closed under it.
	Serve func(spec vmm.MachineSpec, conn net.Conn)
	// Boot returns when the guest is ready; an error ends the machine. ctx ends
	// with the machine. Nil: it is ready at once.
	Boot func(ctx context.Context, spec vmm.MachineSpec) error
	// PowerButton is called when it is pressed, and reports whether the guest
	// then powers off. Nil: it does.
	PowerButton func(spec vmm.MachineSpec) bool
	// Continue is called when a paused machine is to continue, and reports whether it
	// does. Nil: it does.
	Continue func(spec vmm.MachineSpec) bool
}

// host has the machines.
type host struct {
	guest    Guest
	mu       sync.Mutex
	machines map[string]*instance // all that ever ran, by Ref
}

// New returns a driver on a host of its own whose guests do nothing but serve.
func New(serve func(net.Conn)) *Driver {
	return NewGuest(Guest{Serve: func(_ vmm.MachineSpec, conn net.Conn) { serve(conn) }})
}

// NewGuest returns a driver on a host of its own.
func NewGuest(g Guest) *Driver {
	return &Driver{&host{guest: g, machines: make(map[string]*instance)}}
}

// Another returns a driver on the same host, as a process started later has it.
func (d *Driver) Another() *Driver { return &Driver{d.host} }

// Crash ends the machine of a VM at once, as if its process had been killed,
// and returns when nothing of it is left. It reports whether one was running.
func (d *Driver) Crash(id banger.VMID) bool {
	i := d.host.find(func(i *instance) bool { return i.spec.VMID == id })
	if i != nil {
		i.end()
	}
	return i != nil
}

// Pause pauses the machine of a VM: its guest continues, but the host's side is told. It
// reports whether one was running.
func (d *Driver) Pause(id banger.VMID, status vmm.PauseStatus) bool {
	i := d.host.find(func(i *instance) bool { return i.spec.VMID == id })
	if i != nil {
		i.setPause(status)
	}
	return i != nil
}

// PowerOff has the guest of a VM power off by itself, and returns when nothing of the
// machine is left. It reports whether one was running.
func (d *Driver) PowerOff(id banger.VMID) bool {
	i := d.host.find(func(i *instance) bool { return i.spec.VMID == id })
	if i != nil {
		i.leave <- struct{}{}
		<-i.done
	}
	return i != nil
}

// Name implements vmm.Driver.
func (d *Driver) Name() string { return "inmem" }

// Kind implements vmm.Driver.
func (d *Driver) Kind() vmm.Kind {
	return vmm.Kind{Noun: "an in-memory machine", Instead: map[banger.Capability]string{
		banger.CanUnlock: "it lets banger in by itself: banger vm ssh VM",
	}}
}

// Devices implements vmm.Starter: its guests find what they need by themselves.
func (d *Driver) Devices(vmm.MachineSpec) vmm.Devices { return vmm.Devices{} }

// consoleName is the file with what the machine says.
const consoleName = "console.log"

// ConsoleLogs implements vmm.ConsoleLogger.
func (d *Driver) ConsoleLogs() []string { return []string{consoleName} }

// ref is a machine's Ref.
type ref struct {
	Version int    `json:"version"`
	Machine string `json:"machine"`
}

const refVersion = 1

// Start implements vmm.Starter. Of the spec it uses the directories only.
func (d *Driver) Start(ctx context.Context, spec vmm.MachineSpec) (vmm.Owned, error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("cannot start machine of VM %s: %w", spec.VMID, context.Cause(ctx))
	}
	i, err := d.host.start(spec)
	if err != nil {
		return nil, err
	}
	return newMachine(i), nil
}

// Adopt implements vmm.Driver.
func (d *Driver) Adopt(_ context.Context, data json.RawMessage) (vmm.Machine, error) {
	var r ref
	if err := json.Unmarshal(data, &r); err != nil || r.Version != refVersion || r.Machine == "" {
		return nil, banger.Errorf(banger.CodeCorrupt, "cannot adopt machine: its reference is not ours")
	}
	i := d.host.find(func(i *instance) bool { return i.id == r.Machine })
	if i == nil {
		return nil, vmm.ErrMachineGone
	}
	return newMachine(i), nil
}

// PoweredOff implements vmm.Starter.
func (d *Driver) PoweredOff(data json.RawMessage) bool {
	var r ref
	if err := json.Unmarshal(data, &r); err != nil {
		return false
	}
	d.host.mu.Lock()
	i := d.host.machines[r.Machine]
	d.host.mu.Unlock()
	return i != nil && i.hasEnded() && i.off
}

// find returns the running machine for which is holds, or nil.
func (h *host) find(is func(*instance) bool) *instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.machines {
		if !i.hasEnded() && is(i) {
			return i
		}
	}
	return nil
}

func (h *host) start(spec vmm.MachineSpec) (*instance, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, i := range h.machines {
		if !i.hasEnded() && i.spec.StateDir == spec.StateDir {
			return nil, banger.Errorf(banger.CodeState, "cannot start machine of VM %s: it runs already", spec.VMID)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start machine of VM %s: %w", spec.VMID, err)
	}
	i := newInstance(spec, listener)
	if err := i.writeFiles(); err != nil {
		i.removeFiles()
		listener.Close()
		return nil, fmt.Errorf("cannot start machine of VM %s: %w", spec.VMID, err)
	}
	h.machines[i.id] = i
	i.run(h.guest)
	return i, nil
}

func (i *instance) writeFiles() error {
	console := filepath.Join(i.spec.StateDir, consoleName)
	if err := os.WriteFile(console, []byte("in-memory machine "+i.id+"\n"), 0o600); err != nil {
		return err
	}
	return files.Write(filepath.Join(i.spec.StateDir, vmm.MachineRefName), i.ref(), 0o600)
}

func (i *instance) removeFiles() {
	os.Remove(filepath.Join(i.spec.StateDir, consoleName))
	os.Remove(filepath.Join(i.spec.StateDir, vmm.MachineRefName))
}
