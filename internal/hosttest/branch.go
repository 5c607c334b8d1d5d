package hosttest

import (
	"os"
	"os/exec"
	"path/filepath"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// Snapshot is what was on the disk of a VM, and in which epoch.
type Snapshot struct {
	epoch    banger.Epoch
	dir      string
	sessions []records.FoundSession
}

// Snapshot keeps what is on the disk of a VM, which keeps running. Nothing may be written there
// meanwhile. A session that runs will have ended with its machine for whoever begins with it.
func (h *Host) Snapshot(ref string) Snapshot {
	h.t.Helper()
	vm, err := h.VMs.GetVM(h.t.Context(), ref)
	if err != nil {
		h.t.Fatal(err)
	}
	s := Snapshot{epoch: vm.Epoch, dir: h.t.TempDir()}
	h.copyDisk(h.SessionsDir(vm.ID), s.dir)
	list, err := h.Store.Sessions.ListSessions(h.t.Context(), vm.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, short := range list {
		x, err := h.Store.Sessions.GetSession(h.t.Context(), short.Key())
		if err != nil {
			h.t.Fatal(err)
		}
		left, err := sessiondir.ReadRemains(os.DirFS(filepath.Join(s.dir, string(x.ID))), x.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		if x.Status.Ended() {
			s.sessions = append(s.sessions, records.FoundSession{Session: x})
			continue
		}
		if left.Totals == nil {
			h.t.Fatalf("nothing says where session %s stands", x.Name)
		}
		x.Status, x.EndedBy = banger.StatusFailed, banger.EndedByVMStopped
		x.StdoutBytes, x.StderrBytes, x.StdinOffset = left.Totals.Stdout, left.Totals.Stderr, max(x.StdinOffset, left.Totals.Stdin)
		s.sessions = append(s.sessions, records.FoundSession{Session: x})
	}
	return s
}

// copyDisk makes a directory what another one is, sockets and all.
func (h *Host) copyDisk(from, to string) {
	h.t.Helper()
	if err := os.RemoveAll(to); err != nil {
		h.t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		h.t.Fatalf("cannot copy a disk: %v: %s", err, out)
	}
}

// Fork makes a stopped VM that begins with a snapshot.
func (h *Host) Fork(s Snapshot, name string) banger.VM {
	h.t.Helper()
	vm, err := h.VMs.CreateVM(h.t.Context(), banger.VMRequest{Name: name})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.SetBack(vm, s)
}

// SetBack restores a snapshot over a stopped VM.
func (h *Host) SetBack(vm banger.VM, s Snapshot) banger.VM {
	h.t.Helper()
	h.copyDisk(s.dir, h.SessionsDir(vm.ID))
	vm, err := h.Store.VMs.BeginEpoch(h.t.Context(), banger.VM{ID: vm.ID, Epoch: banger.NewEpoch(), ParentEpoch: s.epoch}, s.sessions)
	if err != nil {
		h.t.Fatal(err)
	}
	return vm
}
