package session

import (
	"context"

	"banger"
)

// vmSessions are some sessions of one VM.
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
	vms, err := s.store.ListVMs(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[banger.VMID]bool{}
	for _, ref := range refs {
		vm, err := banger.Resolve("vm", ref, vms)
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
		f.VM = string(vm.ID)
		sessions, err := s.ListSessions(ctx, f)
		if banger.CodeOf(err) == banger.CodeNotFound {
			continue // it has been deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		places = append(places, vmSessions{vm, sessions})
	}
	return places, nil
}
