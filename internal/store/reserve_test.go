//go:build !unit

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"banger"
)

// fullDisk is a small disk with a store in it; fill takes what room is left.
func fullDisk(t *testing.T) (path string, fill func() (empty func())) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128m,mode=700"); err != nil {
		t.Fatalf("cannot mount a small disk, for which root is needed: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	return filepath.Join(dir, "banger.db"), func() func() {
		f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for size := 1 << 20; size > 0; {
			if _, err := f.Write(make([]byte, size)); err != nil {
				size /= 2
			}
		}
		return func() {
			if err := os.Remove(ballast); err != nil {
				t.Error(err)
			}
		}
	}
}

func makeVMs(t *testing.T, s *Store, n int) (vms []banger.VM) {
	t.Helper()
	if _, err := s.Images.PutImage(t.Context(), banger.Image{ID: "image", Name: "image"}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		vm, err := s.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: fmt.Sprint("vm", i), ImageID: "image", State: banger.VMStopped})
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, vm)
	}
	return vms
}

func TestReserve_WhatMakesRoomIsRecordedOnAFullDisk(t *testing.T) {
	path, fill := fullDisk(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	vms := makeVMs(t, s, 3)
	if err := s.Close(); err != nil { // so that -wal and -shm have to be made on the full disk
		t.Fatal(err)
	}
	empty := fill()
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatalf("open on a full disk: %v", err)
	}
	t.Cleanup(func() { s.Close() })
	fill() // somebody takes at once what the reserve gave
	if err := s.VMs.DeleteVM(t.Context(), vms[0].ID); err == nil {
		t.Log("SQLite had room of its own for the first change")
	}
	empty()
	if _, err := s.VMs.UpdateVM(t.Context(), vms[1].ID, func(vm *banger.VM) error { vm.LastError = "x"; return nil }); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path + reserveSuffix); err != nil || info.Size() != reserveBytes {
		t.Errorf("the reserve was not made again: %v, %v", info, err)
	}

	fill()
	big := func(vm *banger.VM) error { vm.LastError = strings.Repeat("x", 1<<20); return nil }
	for range 4 { // more than the log beside the database has room for
		if _, err := s.VMs.UpdateVM(t.Context(), vms[1].ID, big); err != nil {
			t.Fatalf("a change of a VM on a full disk: %v", err)
		}
		if _, err := s.VMs.UpdateVM(t.Context(), vms[1].ID, func(vm *banger.VM) error { vm.LastError = ""; return nil }); err != nil {
			t.Fatalf("a change of a VM on a full disk: %v", err)
		}
	}
	if _, err := os.Stat(path + reserveSuffix); err == nil {
		t.Error("the reserve was not needed: this test shows nothing")
	}
	for _, vm := range vms[1:] {
		if err := s.VMs.DeleteVM(t.Context(), vm.ID); err != nil {
			t.Errorf("delete on a full disk: %v", err)
		}
	}
}

// What fills the disk further does not get the reserve.
func TestReserve_IsNotForWhatTakesRoom(t *testing.T) {
	path, fill := fullDisk(t)
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	makeVMs(t, s, 1)
	fill()
	for i := 0; err == nil; i++ {
		_, err = s.VMs.CreateVM(t.Context(), banger.VM{ID: banger.NewVMID(), Name: fmt.Sprint("more", i), ImageID: "image", State: banger.VMStopped, LastError: strings.Repeat("x", 1<<20)})
	}
	if banger.CodeOf(err) != banger.CodeUnavailable {
		t.Errorf("create on a full disk: %v", err)
	}
	if _, err := os.Stat(path + reserveSuffix); err != nil {
		t.Errorf("the reserve is gone: %v", err)
	}
}
