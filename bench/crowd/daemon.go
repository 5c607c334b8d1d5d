package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"banger"
	"banger/internal/daemon"
	"banger/internal/image/ext4"
	"banger/internal/machine"
	"banger/internal/paths"
	"banger/internal/store"
	"banger/internal/vmm"
)

// open returns a daemon that has not begun, on a host with a driver.
func open(ctx context.Context, p paths.Paths, driver vmm.Driver) (*daemon.Daemon, error) {
	drivers, err := vmm.NewDrivers(driver)
	if err != nil {
		return nil, err
	}
	return daemon.New(ctx, daemon.Parts{Paths: p, Drivers: drivers, Images: images{}, Disks: disks{}, Log: slog.New(slog.DiscardHandler)})
}

// disks are the real ones.
type disks struct{ machine.Disks }

func (disks) ReadDisk(ctx context.Context, path string, f func(fs.FS) error) error {
	return ext4.ReadDisk(ctx, path, f)
}

// images are there.
type images struct{ machine.Images }

func (images) Use(banger.ImageID, string) error { return nil }

// driverName is the one of all VMs here.
const driverName = "qemu"

// kind is what its machines are.
func kind() vmm.Kind { return vmm.Kind{Noun: "a VM of the benchmark"} }

// gone is a driver whose machines have ended with their host.
type gone struct{ vmm.Driver }

func (gone) Name() string   { return driverName }
func (gone) Kind() vmm.Kind { return kind() }

func (gone) Adopt(context.Context, json.RawMessage) (vmm.Machine, error) {
	return nil, vmm.ErrMachineGone
}

// alive is a driver whose machines run.
type alive struct{ *machines }

// machines are all that one host has, which end together.
type machines struct {
	vmm.Driver
	died   chan struct{} // closed when they do
	handle sync.WaitGroup
}

func newMachines() *machines { return &machines{died: make(chan struct{})} }

func (m *machines) Name() string   { return driverName }
func (m *machines) Kind() vmm.Kind { return kind() }

func (m *machines) Adopt(context.Context, json.RawMessage) (vmm.Machine, error) {
	m.handle.Add(1)
	return oneMachine{of: m}, nil
}

type oneMachine struct {
	vmm.Machine
	of *machines
}

func (oneMachine) Ref() json.RawMessage    { return json.RawMessage(`{}`) }
func (oneMachine) Info() vmm.MachineInfo   { return vmm.MachineInfo{PID: 1} }
func (m oneMachine) Done() <-chan struct{} { return m.of.died }

// Close is called when the end is recorded, or by a daemon that ends.
func (m oneMachine) Close() error {
	m.of.handle.Done()
	return nil
}

func (m oneMachine) WaitReady(ctx context.Context) error {
	select {
	case <-m.of.died:
		return vmm.ErrMachineGone
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// restart measures until clients are served, and until the ends of all are recorded.
func restart(ctx context.Context, p paths.Paths) error {
	d, err := open(ctx, p, gone{})
	if err != nil {
		return err
	}
	defer d.Close()
	records := d.Store
	since, err := records.Events.Revision(ctx)
	if err != nil {
		return err
	}
	all, err := records.VMs.ListVMs(ctx)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		left := len(all)
		ended <- records.Events.WatchEvents(ctx, since, func(e banger.Event) error {
			if e.VM != nil && e.VM.State == banger.VMFailed {
				left--
			}
			if left == 0 {
				return errDone
			}
			return nil
		})
	}()
	began := time.Now()
	if err := d.Begin(ctx); err != nil {
		return err
	}
	served := time.Since(began)
	if err := <-ended; !errors.Is(err, errDone) {
		return err
	}
	recorded := time.Since(began)
	if err := check(ctx, records); err != nil {
		return err
	}
	return result(served.Nanoseconds(), recorded.Nanoseconds())
}

var errDone = errors.New("done")

// end measures from the death of a machine until the ends of its sessions and its own are
// recorded, by a daemon that has served its clients before.
func end(ctx context.Context, p paths.Paths) error {
	m := newMachines()
	d, err := open(ctx, p, alive{m})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Begin(ctx); err != nil {
		return err
	}
	if _, err := d.Sessions.Sessions.SummarizeSessions(ctx, banger.SessionFilter{VM: "v0"}); err != nil {
		return err
	}
	before, began := processor(), time.Now()
	close(m.died)
	m.handle.Wait()
	took, used := time.Since(began), processor()-before
	if err := check(ctx, d.Store); err != nil {
		return err
	}
	return result(took.Nanoseconds(), used.Nanoseconds())
}

// check returns an error unless all sessions have ended with their machines.
func check(ctx context.Context, records *store.Store) error {
	all, err := records.Sessions.ListSessions(ctx, "")
	if err != nil {
		return err
	}
	unread := 0
	for _, x := range all {
		if x.EndedBy != banger.EndedByVMLost {
			return fmt.Errorf("session %s is %s", x.ID, x.Status)
		}
		if x.StdoutBytes == 0 {
			unread++
		}
	}
	if unread > 0 {
		fmt.Fprintf(os.Stderr, "%d of %d sessions ended without a look at their directories\n", unread, len(all))
	}
	return nil
}
