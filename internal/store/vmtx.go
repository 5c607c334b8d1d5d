package store

import (
	"encoding/json"

	"banger"
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

func decodeVM(record []byte) (banger.VM, error) {
	d, err := decode[vmDocument](record)
	return d.vm(), err
}

// selectVM selects one VM.
const selectVM = "SELECT record FROM vms WHERE id = ?"

// vmTx is a change of VMs.
type vmTx struct{ *tx }

func (t vmTx) get(id banger.VMID) (banger.VM, error) {
	vms, err := collect(t.ctx, t, decodeVM, selectVM, string(id))
	return one(vms, err, "VM", string(id))
}

// put replaces a record and returns it as a reader will see it.
func (t vmTx) put(vm banger.VM) (banger.VM, error) {
	if err := t.checkName(vm); err != nil {
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

func (t vmTx) checkName(vm banger.VM) error {
	taken, err := t.exists("SELECT 1 FROM vms WHERE name = ? AND id <> ?", vm.Name, string(vm.ID))
	if err == nil && taken {
		err = banger.Errorf(banger.CodeExists, "cannot name VM %q: there is one of that name", vm.Name).
			WithHint("choose another name, or delete that one: banger vm delete %s", vm.Name)
	}
	return err
}

// insert makes the record of a VM, whose image may be missing.
func (t vmTx) insert(vm banger.VM) (banger.VM, error) {
	if err := t.checkName(vm); err != nil {
		return vm, err
	}
	if vm.CreatedAt.IsZero() {
		vm.CreatedAt = t.now
	}
	firstEpoch(&vm)
	if err := epochTx(t).insert(vm); err != nil {
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
func (t vmTx) claimImage(id banger.ImageID) error {
	return t.exec("UPDATE vms SET image_id = ?1 WHERE image_id IS NULL AND record ->> '$.image_id' = ?1", string(id))
}
