package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"banger"
	"banger/internal/files"
	"banger/internal/records"
	"banger/internal/vmm"
)

// vmFileName is the file in the directory of a VM from which the VM is known again
// if the store is lost: all of its record that a run does not change, under the same
// names, with "version", and of a standing machine "machine". Other versions of banger read
// it, so that what is there keeps its meaning.
const (
	vmFileName     = "vm.json"
	vmFileVersion  = 1
	maxVMFileBytes = 512 << 10
)

// ofARun are the members of a VM's record that are not in its file.
var ofARun = [...]string{
	"state", "last_error", "boot_id", "accelerator", "ssh_address", "updated_at", "started_at", "ready_at",
	"stopped_at", "stopped_by", "unreachable_since", "ends_with", "sessions_unknown", "revision", "capabilities",
}

// vmFiles are those files.
type vmFiles struct {
	homes   *homes
	drivers vmm.Drivers
}

// describe returns the content of a VM's file.
func (f *vmFiles) describe(vm banger.VM) ([]byte, error) {
	if vm.Epoch == "" { // it is about to be created
		vm.Epoch = banger.Epoch(vm.ID)
	}
	record, err := json.Marshal(vm)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(record, &members); err != nil {
		return nil, err
	}
	for _, name := range ofARun {
		delete(members, name)
	}
	if vm.Machine != nil && f.drivers.Standing(vm) {
		members["machine"] = vm.Machine
	}
	members["version"] = json.RawMessage(fmt.Sprint(vmFileVersion))
	data, err := json.MarshalIndent(members, "", "  ")
	return append(data, '\n'), err
}

// write makes the file of a VM say what its record says. The directory of a
// remote host is made: it holds nothing else.
func (f *vmFiles) write(vm banger.VM) error {
	data, err := f.describe(vm)
	if err != nil {
		return err
	}
	dir := f.homes.dir(vm.ID)
	path := filepath.Join(dir, vmFileName)
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, data) {
		return nil
	}
	if f.drivers.Standing(vm) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("cannot write file of VM %s: %w", vm.Name, err)
		}
	}
	if err := files.Write(path, data, 0o600); err != nil {
		return fmt.Errorf("cannot write file of VM %s: %w", vm.Name, err)
	}
	return files.SyncDir(f.homes.paths.VMs())
}

// read returns what the directory of a VM says of it. One that says nothing is
// fs.ErrNotExist, one that a newer banger has written CodeMismatch, and what makes no
// sense CodeCorrupt.
func (f *vmFiles) read(id banger.VMID) (banger.VM, error) {
	file, err := os.Open(filepath.Join(f.homes.dir(id), vmFileName))
	if err != nil {
		return banger.VM{}, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxVMFileBytes+1))
	if err != nil {
		return banger.VM{}, err
	}
	if len(data) > maxVMFileBytes {
		return banger.VM{}, corruptVMFile(fmt.Errorf("it has more than %d bytes", maxVMFileBytes))
	}
	var found struct {
		Version int `json:"version"`
		banger.VM
		Machine json.RawMessage `json:"machine"`
	}
	if err := json.Unmarshal(data, &found); err != nil {
		return banger.VM{}, corruptVMFile(err)
	}
	if found.Version > vmFileVersion {
		return banger.VM{}, banger.Errorf(banger.CodeMismatch, "its %s was written by a newer banger (version %d; this one knows %d)",
			vmFileName, found.Version, vmFileVersion)
	}
	vm := found.VM
	vm.Machine = found.Machine
	return vm, f.check(id, found.Version, vm)
}

// check refuses a description that no daemon of ours writes.
func (f *vmFiles) check(id banger.VMID, version int, vm banger.VM) error {
	if _, err := f.drivers.Of(vm); err != nil {
		return err
	}
	standing := f.drivers.Standing(vm)
	request := banger.VMRequest{Name: vm.Name}
	if !standing {
		request = banger.VMRequest{Name: vm.Name, CPUs: vm.CPUs, MemoryMiB: vm.MemoryMiB, SystemDiskMiB: vm.SystemDiskMiB, WorkDiskMiB: vm.WorkDiskMiB}
	} else {
		request = request.WithDefaults()
	}
	err := request.Validate()
	if err == nil && (vm.Epoch != "" && !banger.ValidID(string(vm.Epoch)) || vm.ParentEpoch != "" && (!banger.ValidID(string(vm.ParentEpoch)) || vm.Epoch == "" || vm.Epoch == vm.ParentEpoch)) {
		err = fmt.Errorf("its epoch %.40q or that which it parted from, %.40q, is not an epoch", string(vm.Epoch), string(vm.ParentEpoch))
	}
	switch {
	case version < 1:
		err = errors.New("it has no version")
	case vm.ID != id:
		err = fmt.Errorf("it is that of VM %.40q", string(vm.ID))
	case vm.Name == "":
		err = errors.New("it has no name")
	case standing && vm.Machine == nil:
		err = errors.New("it does not say which host it is")
	case len(vm.ImageID) > banger.MaxNameBytes || strings.ContainsAny(string(vm.ImageID), "/."):
		err = fmt.Errorf("its image %.40q is not an image id", string(vm.ImageID))
	case vm.KernelID != "" && !banger.ValidID(string(vm.KernelID)):
		err = fmt.Errorf("its kernel %.40q is not a kernel id", string(vm.KernelID))
	}
	if err != nil {
		return corruptVMFile(err)
	}
	return nil
}

func corruptVMFile(cause error) error {
	return banger.Errorf(banger.CodeCorrupt, "its %s makes no sense: %w", vmFileName, cause)
}

// filed is a store that keeps the file of each VM true to its record.
type filed struct {
	Store
	files *vmFiles
	log   *slog.Logger
}

// UpdateVM implements Store.
func (f filed) UpdateVM(ctx context.Context, id banger.VMID, change func(*banger.VM) error) (banger.VM, error) {
	stale := false
	vm, err := f.Store.UpdateVM(ctx, id, func(vm *banger.VM) error {
		before, err := f.files.describe(*vm)
		if err != nil {
			return err
		}
		if err := change(vm); err != nil {
			return err
		}
		after, err := f.files.describe(*vm)
		stale = !bytes.Equal(before, after)
		return err
	})
	if err != nil || !stale {
		return vm, err
	}
	if err := f.files.write(vm); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a VM without a directory there is nothing to know
		f.log.Error("the file of a VM is older than its record until the next daemon starts", "vm", id, "cause", err)
	}
	return vm, nil
}

// BeginEpoch implements Store. A file that is older than the record is made true by the
// next daemon.
func (f filed) BeginEpoch(ctx context.Context, vm banger.VM, sessions []records.FoundSession) (banger.VM, error) {
	vm, err := f.Store.BeginEpoch(ctx, vm, sessions)
	if err != nil {
		return vm, err
	}
	if err := f.files.write(vm); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Error("the file of a VM is older than its record until the next daemon starts", "vm", vm.ID, "cause", err)
	}
	return vm, nil
}
