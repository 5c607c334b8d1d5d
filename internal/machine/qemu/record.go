package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/files"
	"banger/internal/process"
	"banger/internal/vmm"
)

// record is a machine's Ref.
type record struct {
	Version     int              `json:"version"`
	Name        string           `json:"name"`         // unique; on the process's command line, and what QMP calls the machine
	VM          string           `json:"vm,omitempty"` // its name, for people
	Process     process.Identity `json:"process"`
	Accelerator Accel            `json:"accelerator"`
	SSHPort     int              `json:"ssh_port,omitempty"` // on 127.0.0.1; 0 as long as the starter has not learnt it
	Scribe      process.Identity `json:"scribe,omitzero"`    // zero for a machine whose QEMU writes its files itself
	StateDir    string           `json:"state_dir"`
	// RuntimeDir has the control socket: StateDir, but for machines that an older build started.
	RuntimeDir string `json:"runtime_dir"`
}

const (
	recordVersion  = 1
	maxRecordBytes = 64 << 10
)

// parseRecord reads a Ref. It checks the form; whether the machine lives is
// what open tells.
func parseRecord(data []byte) (record, error) {
	var r record
	if len(data) > maxRecordBytes {
		return r, banger.Errorf(banger.CodeCorrupt, "cannot adopt machine: its reference has %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, banger.Errorf(banger.CodeCorrupt, "cannot adopt machine: its reference is damaged: %w", err)
	}
	if r.Version != recordVersion {
		return r, banger.Errorf(banger.CodeMismatch, "cannot adopt machine: its reference has version %d, and this is %d", r.Version, recordVersion)
	}
	if r.Name == "" || r.Process.PID <= 0 || !filepath.IsAbs(r.StateDir) || !filepath.IsAbs(r.RuntimeDir) {
		return r, banger.Errorf(banger.CodeCorrupt, "cannot adopt machine: its reference is incomplete")
	}
	return r, nil
}

func (r record) marshal() json.RawMessage {
	data, err := json.Marshal(r)
	if err != nil {
		panic("qemu: a record of numbers and strings cannot be marshalled: " + err.Error())
	}
	return data
}

func (r record) save() error {
	return files.Write(filepath.Join(r.StateDir, vmm.MachineRefName), r.marshal(), 0o600)
}

// open takes hold of the recorded process, or fails with process.ErrGone.
func (r record) open() (*heldProcess, error) {
	p, err := holdProcess(r.Process)
	if err != nil {
		return nil, err
	}
	arguments, err := p.arguments()
	switch {
	case p.ended():
		err = process.ErrGone
	case err == nil && !slices.Contains(arguments, r.Name):
		err = process.ErrGone // the record was made up: a stranger's process does not become ours
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// runningIn returns the pid of the machine that the directory's record names, or 0
// if that has ended. A record that cannot be read is none: QEMU's locks on the
// disks stand behind this one.
func runningIn(stateDir string) int {
	data, err := os.ReadFile(filepath.Join(stateDir, vmm.MachineRefName))
	if err != nil {
		return 0
	}
	r, err := parseRecord(data)
	if err != nil {
		return 0
	}
	p, err := r.open()
	if err != nil {
		return 0
	}
	p.close()
	return r.Process.PID
}

// lockStateDir lets one process at a time start a machine of a directory. The lock
// ends with the returned file or with this process.
func lockStateDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot start machine: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = banger.Errorf(banger.CodeState, "cannot start machine in %s: it is being started already", dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
