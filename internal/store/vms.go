package store

import (
	"bytes"
	"context"
	"encoding/json"

	"banger"
	"banger/internal/records"
)

// vmDocument is a VM as it is kept: with what only the driver may read.
type vmDocument struct {
	banger.VM
	Machine json.RawMessage `json:"machine,omitempty"`
}

func (d vmDocument) vm() banger.VM {
	d.VM.Machine = d.Machine
	firstEpoch(&d.VM)
	return d.VM
}

// firstEpoch gives a VM without an epoch, such as one of before there were epochs, its first.
func firstEpoch(vm *banger.VM) {
	if vm.Epoch == "" {
		vm.Epoch = banger.Epoch(vm.ID)
	}
}

// CreateVM implements machine.Store.
func (s *Store) CreateVM(ctx context.Context, vm banger.VM) (banger.VM, error) {
	err := s.write(ctx, "create VM "+vm.Name, func(t *tx) error {
		if err := t.imageExists(vm.ImageID); err != nil {
			return err
		}
		var err error
		vm, err = t.insertVM(vm)
		return err
	})
	return result(vm, err)
}

// GetVM implements machine.Store.
func (s *Store) GetVM(ctx context.Context, id banger.VMID) (banger.VM, error) {
	vms, err := read(ctx, s, decodeVM, "SELECT record FROM vms WHERE id = ?", string(id))
	return one(vms, err, "VM", string(id))
}

// ListVMs implements machine.Store.
func (s *Store) ListVMs(ctx context.Context) ([]banger.VM, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	vms, kept, generation := s.lists.getVMs()
	if kept {
		return vms, nil
	}
	vms, err = read(ctx, s, decodeVM, "SELECT record FROM vms ORDER BY seq")
	if err == nil {
		s.lists.keepVMs(vms, generation)
	}
	return vms, err
}

// UpdateVM implements machine.Store.
func (s *Store) UpdateVM(ctx context.Context, id banger.VMID, change func(*banger.VM) error) (vm banger.VM, err error) {
	err = s.writeAnyway(ctx, "change VM "+string(id), func(t *tx) error {
		before, err := t.vm(id)
		if err != nil {
			return err
		}
		if vm, err = t.vm(id); err != nil { // a second copy: change may write into its slices
			return err
		}
		if err := change(&vm); err != nil {
			return err
		}
		if err := records.CheckVMTransition(before.State, vm.State); err != nil {
			return err
		}
		if vm.ID != before.ID {
			return banger.Errorf(banger.CodeInternal, "cannot change VM %s: its id became %s", id, vm.ID)
		}
		vm.UpdatedAt, vm.Revision = before.UpdatedAt, before.Revision
		vm.Epoch, vm.ParentEpoch = before.Epoch, before.ParentEpoch // BeginEpoch changes them
		visible, err := changed(before, vm)
		if err != nil || !visible && bytes.Equal(before.Machine, vm.Machine) {
			return err
		}
		if visible {
			vm.UpdatedAt, vm.Revision = t.now, t.next()
		}
		if vm, err = t.putVM(vm); err != nil || !visible {
			return err
		}
		return t.emitRecord(banger.EventVMChanged, vm)
	})
	return result(vm, err)
}

// DeleteVM implements machine.Store.
func (s *Store) DeleteVM(ctx context.Context, id banger.VMID) error {
	return s.writeAnyway(ctx, "delete VM "+string(id), func(t *tx) error {
		vm, err := t.vm(id)
		if err != nil {
			return err
		}
		sessions, err := collect(t.ctx, t, decodeSession, "SELECT record FROM sessions WHERE vm_id = ? ORDER BY seq", string(id))
		if err != nil {
			return err
		}
		for _, x := range sessions {
			if err := t.deleteSession(x); err != nil {
				return err
			}
		}
		t.vms = true
		if err := t.exec("DELETE FROM vms WHERE id = ?", string(id)); err != nil {
			return err
		}
		if err := (epochTx{t}).forgetTree(vm.Epoch); err != nil {
			return err
		}
		vm.Revision = t.next()
		return t.emitRecord(banger.EventVMDeleted, vm)
	})
}

func (t *tx) vm(id banger.VMID) (banger.VM, error) {
	vms, err := collect(t.ctx, t, decodeVM, "SELECT record FROM vms WHERE id = ?", string(id))
	return one(vms, err, "VM", string(id))
}

// putVM replaces a record and returns it as a reader will see it.
func (t *tx) putVM(vm banger.VM) (banger.VM, error) {
	if err := t.vmNameFree(vm); err != nil {
		return vm, err
	}
	record, err := json.Marshal(vmDocument{VM: vm, Machine: vm.Machine})
	if err != nil {
		return vm, err
	}
	t.vms = true
	if err := t.exec("UPDATE vms SET name = ?, image_id = "+imageIfThere+", record = ? WHERE id = ?",
		vm.Name, string(vm.ImageID), string(record), string(vm.ID)); err != nil {
		return vm, err
	}
	return decodeVM(record)
}

func (t *tx) vmNameFree(vm banger.VM) error {
	taken, err := t.exists("SELECT 1 FROM vms WHERE name = ? AND id <> ?", vm.Name, string(vm.ID))
	if err == nil && taken {
		err = banger.Errorf(banger.CodeExists, "cannot name VM %q: there is one of that name", vm.Name).
			WithHint("choose another name, or delete that one: banger vm delete %s", vm.Name)
	}
	return err
}

func decodeVM(record []byte) (banger.VM, error) {
	d, err := decode[vmDocument](record)
	return d.vm(), err
}
