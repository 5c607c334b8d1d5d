package session

import (
	"context"
	"slices"

	"banger"
	"banger/internal/records"
)

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
func (s *Service) selectSessions(ctx context.Context, refs []string, f banger.SessionFilter) ([]vmSessions, error) {
	if err := checkStatus(f.Status); err != nil {
		return nil, err
	}
	vms, err := s.store.ListVMs(ctx)
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
		sessions, err := s.store.ListSessions(ctx, vm.ID)
		if err != nil {
			return nil, err
		}
		places = append(places, vmSessions{vm, slices.DeleteFunc(sessions, func(x banger.Session) bool { return !f.Match(x) })})
	}
	return places, nil
}
