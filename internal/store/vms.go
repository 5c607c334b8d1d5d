package store

import (
	"bytes"
	"context"

	"banger"
	"banger/internal/records"
)

// VMs are the records of VMs; they implement machine.Store.
type VMs struct {
	reader *reader
	writer *writer
	lists  *lists
}

// CreateVM implements machine.Store.
func (s *VMs) CreateVM(ctx context.Context, vm banger.VM) (banger.VM, error) {
	err := s.writer.write(ctx, "create VM "+vm.Name, func(begun *tx) error {
		t := vmTx{begun}
		if err := imageTx(t).checkExists(vm.ImageID); err != nil {
			return err
		}
		var err error
		vm, err = t.insert(vm)
		return err
	})
	return result(vm, err)
}

// RestoreVM implements machine.Store. A name that is taken is CodeExists.
func (s *VMs) RestoreVM(ctx context.Context, vm banger.VM) (banger.VM, error) {
	err := s.writer.write(ctx, "restore VM "+vm.Name, func(begun *tx) (err error) {
		t := vmTx{begun}
		vm, err = t.insert(vm)
		return err
	})
	return result(vm, err)
}

// GetVM implements machine.Store.
func (s *VMs) GetVM(ctx context.Context, id banger.VMID) (banger.VM, error) {
	return readVM(ctx, s.reader, id)
}

// readVM returns a VM as it is committed.
func readVM(ctx context.Context, r *reader, id banger.VMID) (banger.VM, error) {
	vms, err := read(ctx, r, decodeVM, selectVM, string(id))
	return one(vms, err, "VM", string(id))
}

// ListVMs implements machine.Store.
func (s *VMs) ListVMs(ctx context.Context) ([]banger.VM, error) {
	leave, err := s.reader.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	vms, kept, generation := s.lists.getVMs()
	if kept {
		return vms, nil
	}
	vms, err = read(ctx, s.reader, decodeVM, "SELECT record FROM vms ORDER BY seq")
	if err == nil {
		s.lists.keepVMs(vms, generation)
	}
	return vms, err
}

// UpdateVM implements machine.Store.
func (s *VMs) UpdateVM(ctx context.Context, id banger.VMID, change func(*banger.VM) error) (vm banger.VM, err error) {
	err = s.writer.writeAnyway(ctx, "change VM "+string(id), func(begun *tx) error {
		t := vmTx{begun}
		before, err := t.get(id)
		if err != nil {
			return err
		}
		if vm, err = t.get(id); err != nil { // a second copy: change may write into its slices
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
		if vm, err = t.put(vm); err != nil || !visible {
			return err
		}
		return t.emitRecord(banger.EventVMChanged, vm)
	})
	return result(vm, err)
}

// DeleteVM implements machine.Store.
func (s *VMs) DeleteVM(ctx context.Context, id banger.VMID) error {
	return s.writer.writeAnyway(ctx, "delete VM "+string(id), func(begun *tx) error {
		t := vmTx{begun}
		vm, err := t.get(id)
		if err != nil {
			return err
		}
		sessions, err := collect(t.ctx, t, decodeSession, "SELECT record FROM sessions WHERE vm_id = ? ORDER BY seq", string(id))
		if err != nil {
			return err
		}
		for _, x := range sessions {
			if err := sessionTx(t).delete(x); err != nil {
				return err
			}
		}
		t.vms = true
		if err := t.exec("DELETE FROM vms WHERE id = ?", string(id)); err != nil {
			return err
		}
		if err := epochTx(t).forgetTree(vm.Epoch); err != nil {
			return err
		}
		vm.Revision = t.next()
		return t.emitRecord(banger.EventVMDeleted, vm)
	})
}
