package sessiondir

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"banger"
	"banger/internal/atomicfile"
)

// Bounds of the two JSON files; a larger one was not written by this package.
const (
	MaxSpecBytes  = 16 << 20
	MaxStateBytes = 1 << 20
)

// State is the content of state.json: banger.SessionState and what only the
// guest needs.
type State struct {
	ID banger.SessionID `json:"id"`
	banger.SessionState
	// BootID is that of the boot in which the session was launched; random(4).
	BootID string `json:"boot_id"`
	// PIDStartTime makes GuestPID unique within the boot; see process.Identity.
	PIDStartTime uint64 `json:"pid_start_time,omitempty"`
	// CgroupPath is the session's folder in the cgroup file system, or empty.
	CgroupPath string `json:"cgroup_path,omitempty"`
}

// WriteState replaces dir's state.json durably. The caller owns the session.
func WriteState(dir string, s State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("cannot encode state of session %s: %w", s.ID, err)
	}
	if len(data) > MaxStateBytes {
		return fmt.Errorf("cannot write state of session %s: it has %d bytes; at most %d are allowed", s.ID, len(data), MaxStateBytes)
	}
	return atomicfile.Write(filepath.Join(dir, StateName), append(data, '\n'), 0o600)
}

// ReadState reads state.json. A file that is not there is fs.ErrNotExist, one
// that makes no sense CodeCorrupt.
func ReadState(fsys fs.FS) (State, error) {
	var s State
	if err := readJSON(fsys, StateName, MaxStateBytes, &s); err != nil {
		return State{}, err
	}
	if !banger.ValidID(string(s.ID)) {
		return State{}, corrupt(StateName, fmt.Errorf("%.40q is no session id", string(s.ID)))
	}
	if err := s.Check(); err != nil {
		return State{}, corrupt(StateName, err)
	}
	return s, nil
}

// ReadSpec reads spec.json. Errors are as those of ReadState.
func ReadSpec(fsys fs.FS) (banger.GuestLaunch, error) {
	var l banger.GuestLaunch
	if err := readJSON(fsys, SpecName, MaxSpecBytes, &l); err != nil {
		return banger.GuestLaunch{}, err
	}
	if !banger.ValidID(string(l.ID)) {
		return banger.GuestLaunch{}, corrupt(SpecName, fmt.Errorf("%.40q is no session id", string(l.ID)))
	}
	return l, nil
}

func readJSON(fsys fs.FS, name string, limit int64, into any) error {
	f, size, err := openRegular(fsys, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if size > limit {
		return corrupt(name, fmt.Errorf("it has more than %d bytes", limit))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return fmt.Errorf("cannot read file %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return corrupt(name, fmt.Errorf("it has more than %d bytes", limit))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return corrupt(name, err)
	}
	return nil
}

// openRegular opens a file and returns its size. What is not a regular file is
// refused before it is opened, since opening a named pipe could block for ever.
func openRegular(fsys fs.FS, name string) (fs.File, int64, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, corrupt(name, fmt.Errorf("it is no regular file but %s", info.Mode()))
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	// It may have grown since.
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	return f, info.Size(), nil
}

func corrupt(name string, cause error) error {
	return banger.Errorf(banger.CodeCorrupt, "cannot read file %s: %w", name, cause)
}
