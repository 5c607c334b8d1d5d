package control

import (
	"context"

	"banger"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// remover deletes sessions from the disk.
type remover struct {
	registry  *registry
	leftovers leftovers
}

// remove deletes an ended session with its logs.
func (r *remover) remove(_ context.Context, p guestrpc.IDParams) (none, error) {
	if !banger.ValidID(string(p.ID)) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot remove session %.40q: not a session id", string(p.ID))
	}
	unlock := r.registry.claim(p.ID)
	defer unlock()
	x := r.registry.takeIn(p.ID)
	if x == nil {
		return nil, nil
	}
	if !x.endedOnDisk() {
		state, _ := x.current()
		return nil, banger.Errorf(banger.CodeState, "cannot remove session %s: it is %s", p.ID, state.Status).WithHint("stop or kill it first")
	}
	if state, _ := x.current(); state.Survivors != nil {
		if err := r.leftovers.kill(x.id); err != nil {
			return nil, err
		}
	}
	if err := sessiondir.Remove(x.dir); err != nil {
		return nil, err
	}
	r.registry.forget(p.ID)
	return nil, nil
}
