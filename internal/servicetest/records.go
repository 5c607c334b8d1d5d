package servicetest

import (
	"context"
	"slices"

	"banger"
	"banger/internal/imagename"
	"banger/internal/records"
)

// What the fake keeps. Every method is called with mu held.

// vm returns the place of the VM that a ref means.
func (f *Fake) vm(ref string) (*banger.VM, error) {
	found, err := records.Resolve("vm", ref, f.VMs)
	if err != nil {
		if !f.Strict {
			return &f.VM, nil
		}
		return nil, err
	}
	return &f.VMs[slices.IndexFunc(f.VMs, func(v banger.VM) bool { return v.ID == found.ID })], nil
}

// session returns the place of the session of a VM that a ref means.
func (f *Fake) session(vm, ref string) (*banger.Session, error) {
	v, err := f.vm(vm)
	if err != nil {
		return nil, err
	}
	var of []banger.Session
	for _, x := range f.Sessions {
		if x.VMID == v.ID {
			of = append(of, x)
		}
	}
	found, err := records.Resolve("session", ref, of)
	if err != nil {
		if !f.Strict {
			return &f.Session, nil
		}
		return nil, err
	}
	return &f.Sessions[slices.IndexFunc(f.Sessions, func(x banger.Session) bool { return x.VMID == v.ID && x.ID == found.ID })], nil
}

// image returns the image that a ref means.
func (f *Fake) image(ref string) (banger.Image, error) {
	found, err := imagename.Find(ref, f.Images)
	if err != nil && !f.Strict {
		return f.Image, nil
	}
	return found, err
}

// emit records that something has happened to a record.
func (f *Fake) emit(e banger.Event) {
	f.Revision++
	e.Revision = f.Revision
	f.Events = append(f.Events, e)
	close(f.changed())
	f.change = nil
}

// changed is closed when something happens.
func (f *Fake) changed() chan struct{} {
	if f.change == nil {
		f.change = make(chan struct{})
	}
	return f.change
}

// await returns when done does not return false any more, or with ctx.
func (f *Fake) await(ctx context.Context, done func() bool) error {
	for {
		f.mu.Lock()
		finished, changed := done(), f.changed()
		f.mu.Unlock()
		if finished {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
