package store

import (
	"context"
	"encoding/json"

	"banger"
	"banger/internal/records"
)

// RestoreVM implements machine.Store. A name that is taken is CodeExists.
func (s *Store) RestoreVM(ctx context.Context, vm banger.VM) (banger.VM, error) {
	err := s.write(ctx, "restore VM "+vm.Name, func(t *tx) (err error) {
		vm, err = t.insertVM(vm)
		return err
	})
	return result(vm, err)
}

// insertVM makes the record of a VM, whose image may be missing.
func (t *tx) insertVM(vm banger.VM) (banger.VM, error) {
	if err := t.vmNameFree(vm); err != nil {
		return vm, err
	}
	if vm.CreatedAt.IsZero() {
		vm.CreatedAt = t.now
	}
	firstEpoch(&vm)
	if err := (epochTx{t}).insertEpoch(vm); err != nil {
		return vm, err
	}
	vm.UpdatedAt, vm.Revision = t.now, t.next()
	record, err := json.Marshal(vmDocument{VM: vm, Machine: vm.Machine})
	if err != nil {
		return vm, err
	}
	t.vms = true
	if err := t.exec("INSERT INTO vms (id, name, image_id, record) VALUES (?, ?, "+imageIfThere+", ?)",
		string(vm.ID), vm.Name, string(vm.ImageID), string(record)); err != nil {
		return vm, err
	}
	if vm, err = decodeVM(record); err != nil {
		return vm, err
	}
	return vm, t.emitRecord(banger.EventVMCreated, vm)
}

// imageIfThere is an image's id, or NULL if there is no such image: a VM that was
// restored may have lost its own. It takes one parameter.
const imageIfThere = "(SELECT id FROM images WHERE id = ?)"

// claimImage has an image that is stored kept by the VMs that are of it, some of which
// may have been restored while it was missing.
func (t *tx) claimImage(id banger.ImageID) error {
	return t.exec("UPDATE vms SET image_id = ?1 WHERE image_id IS NULL AND record ->> '$.image_id' = ?1", string(id))
}

// RestoreSessions implements session.Store.
func (s *Store) RestoreSessions(ctx context.Context, found []records.FoundSession) (restored int, err error) {
	err = s.write(ctx, "restore sessions", func(t *tx) error {
		for _, f := range found {
			known, err := t.exists(selectByID, string(f.VMID), string(f.ID))
			if err != nil {
				return err
			}
			if known {
				continue
			}
			if err := t.restoreSession(f); err != nil {
				return err
			}
			restored++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return restored, nil
}

// restoreSession gives way where a session that is known has the name or the key.
func (t *tx) restoreSession(f records.FoundSession) error {
	vm, err := t.vm(f.VMID)
	if err != nil {
		return err
	}
	f.Epoch = vm.Epoch
	if vm.ParentEpoch != "" { // nobody knows where the epochs parted in it, if they did: at its beginning is safe
		if err := (epochTx{t}).insertParting(vm.Epoch, banger.Session{ID: f.ID}); err != nil {
			return err
		}
	}
	taken, err := t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND name = ?", string(f.VMID), f.Name)
	if err != nil {
		return err
	}
	if taken {
		f.Name = records.UnlikeName(f.Session)
	}
	if taken, err = t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND idempotency_key = ?", string(f.VMID), f.IdempotencyKey); err != nil {
		return err
	}
	if taken {
		f.IdempotencyKey = ""
	}
	_, err = t.insertSession(f.Session, f.IdempotencyKey)
	return err
}
