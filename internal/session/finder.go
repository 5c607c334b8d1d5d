package session

import (
	"context"
	"fmt"
	"slices"

	"banger"
	"banger/internal/records"
)

// finder finds the sessions that a request means.
type finder struct {
	store Store
	vms   VMs
	reach *reach
}

// vm returns the VM that a ref means.
func (f *finder) vm(ctx context.Context, ref string) (banger.VM, error) {
	vms, err := f.vms.ListVMs(ctx)
	if err != nil {
		return banger.VM{}, err
	}
	return records.Resolve("vm", ref, vms)
}

// session returns the one that a ref means in a VM.
func (f *finder) session(ctx context.Context, vmRef, ref string) (banger.Session, error) {
	vm, err := f.vm(ctx, vmRef)
	if err != nil {
		return banger.Session{}, err
	}
	x, err := f.store.ResolveSession(ctx, vm.ID, ref)
	if !vm.SessionsUnknown || banger.CodeOf(err) != banger.CodeNotFound {
		return x, err
	}
	if err := f.reach.awaitKnown(ctx, vm, fmt.Sprintf("find session %q", ref)); err != nil {
		return x, err
	}
	return f.store.ResolveSession(ctx, vm.ID, ref)
}

// vmSessions are some sessions of one VM, in short.
type vmSessions struct {
	vm       banger.VM
	sessions []banger.Session
}

// of names one of them.
func (p vmSessions) of(x banger.Session) banger.SessionPlace {
	return banger.SessionPlace{VMID: p.vm.ID, VM: p.vm.Name, SessionID: x.ID, Session: x.Name}
}

// selectSessions returns the sessions that a filter selects in some VMs, in all if none
// is named, the oldest first.
func (f *finder) selectSessions(ctx context.Context, refs []string, filter banger.SessionFilter) ([]vmSessions, error) {
	if err := checkStatus(filter.Status); err != nil {
		return nil, err
	}
	vms, err := f.vms.ListVMs(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[banger.VMID]bool{}
	for _, ref := range refs {
		vm, err := records.Resolve("vm", ref, vms)
		if err != nil {
			return nil, err
		}
		wanted[vm.ID] = true
	}
	var places []vmSessions
	for _, vm := range vms {
		if len(wanted) > 0 && !wanted[vm.ID] {
			continue
		}
		sessions, err := f.store.ListSessions(ctx, vm.ID)
		if err != nil {
			return nil, err
		}
		places = append(places, vmSessions{vm, slices.DeleteFunc(sessions, func(x banger.Session) bool { return !filter.Match(x) })})
	}
	return places, nil
}

// waitFor returns a session as soon as done says so.
func waitFor(ctx context.Context, store Store, key banger.SessionKey, done func(banger.Session) bool) (banger.Session, error) {
	x, err := store.WaitSession(ctx, key, done)
	if err != nil {
		return x, err
	}
	whole, err := store.GetSession(ctx, key)
	if banger.CodeOf(err) == banger.CodeNotFound {
		return x, nil // it has come to that, and been removed since
	}
	return whole, err
}
