package sessiondir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"banger"
	"banger/internal/diskspace"
	"banger/internal/files"
	"banger/internal/records"
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
	// MachineID is that of the host on which the session was launched, if it has one; see
	// package hostid. In a machine of banger's own it means nothing: its work disk is in no
	// other, but its system may be made again.
	MachineID string `json:"machine_id,omitempty"`
	// PIDStartTime makes GuestPID unique within the boot; see process.Identity.
	PIDStartTime uint64 `json:"pid_start_time,omitempty"`
	// CgroupPath is the session's directory in the cgroup file system, or empty.
	CgroupPath string `json:"cgroup_path,omitempty"`
}

// spareBytes is what state.json and its spare have of the disk: all of a state that is
// certain to find room on a full one.
const spareBytes = 8 << 10

// WriteState replaces dir's state.json durably, on a full disk too. There, one with
// long texts or lists is kept with shorter ones. The caller owns the session.
func WriteState(dir string, s State) error {
	return replaceState(dir, s, files.WriteInto)
}

// PutState is WriteState for a change that need not survive the machine yet: it is
// durable after the next WriteState or Settle. Readers see it at once.
func PutState(dir string, s State) error {
	return replaceState(dir, s, files.PutInto)
}

func replaceState(dir string, s State, into func(path string, data []byte, size int) error) error {
	data, err := encodeState(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, StateName)
	if len(data) > spareBytes {
		if err = files.Write(path, data, 0o600); !diskspace.IsFull(err) {
			return err
		}
		if data, err = encodeState(s.clipped()); err != nil {
			return err
		}
	}
	if err = into(path, data, spareBytes); errors.Is(err, files.ErrNoSpare) {
		err = files.Write(path, data, 0o600) // the directory is from before there were spares
	}
	return err
}

// writeFirstState makes state.json of a new session, with the place for all later ones.
func writeFirstState(dir string, s State) error {
	data, err := encodeState(s)
	if err != nil {
		return err
	}
	return files.CreateWithSpare(filepath.Join(dir, StateName), data, spareBytes, 0o600)
}

func encodeState(s State) ([]byte, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("cannot encode state of session %s: %w", s.ID, err)
	}
	if len(data) > MaxStateBytes {
		return nil, fmt.Errorf("cannot write state of session %s: it has %d bytes; at most %d are allowed", s.ID, len(data), MaxStateBytes)
	}
	return append(data, '\n'), nil
}

// What a state has at most when it is clipped: bytes of each text, of who asked for a
// stop, and processes that are left.
const (
	clippedText      = 128
	clippedRequester = 32
	clippedSurvivors = 8
)

// clipped returns the state with texts and lists so short that it fits into its spare,
// each byte of the texts escaped.
func (s State) clipped() State {
	for _, text := range []*string{&s.LastError, &s.LaunchMessage, &s.LaunchRawLog} {
		*text = clip(*text, clippedText)
	}
	s.StopSteps = slices.Clone(s.StopSteps)
	for i := range s.StopSteps {
		s.StopSteps[i].By = clip(s.StopSteps[i].By, clippedRequester)
	}
	if left := s.Survivors; left != nil {
		s.Survivors = &banger.Survivors{Count: left.Count, Processes: left.Processes[:min(len(left.Processes), clippedSurvivors)]}
	}
	return s
}

// ReadState reads state.json. A file that is not there is fs.ErrNotExist, one
// that makes no sense CodeCorrupt.
func ReadState(fsys fs.FS) (State, error) {
	data, err := readWhole(fsys)
	if err != nil {
		return State{}, err
	}
	return decodeState(data)
}

// ReadStateBefore reads the state before that of state.json, which its spare file has: a
// crash of the machine may leave state.json damaged, of a session that was just launched.
// Only a session that nobody owns is to be read so.
func ReadStateBefore(fsys fs.FS) (State, error) {
	data, _, err := readFile(fsys, files.SparePath(StateName), MaxStateBytes)
	if err != nil {
		return State{}, err
	}
	return decodeState(data)
}

func decodeState(data []byte) (s State, err error) {
	if err := decodeJSON(StateName, data, &s); err != nil {
		return State{}, err
	}
	if !banger.ValidID(string(s.ID)) {
		return State{}, corrupt(StateName, fmt.Errorf("%.40q is not a session id", string(s.ID)))
	}
	if err := records.CheckState(s.SessionState); err != nil {
		return State{}, corrupt(StateName, err)
	}
	return s, nil
}

func decodeJSON(name string, data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return corrupt(name, err)
	}
	return nil
}

// readFile returns what is in a file, and when that was written.
func readFile(fsys fs.FS, name string, limit int64) (content []byte, written time.Time, err error) {
	f, info, err := openRegular(fsys, name)
	if err != nil {
		return nil, written, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, written, corrupt(name, fmt.Errorf("it has more than %d bytes", limit))
	}
	var data bytes.Buffer
	data.Grow(int(info.Size()) + bytes.MinRead) // all of it at once, and its end
	_, err = data.ReadFrom(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, written, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	if int64(data.Len()) > limit {
		return nil, written, corrupt(name, fmt.Errorf("it has more than %d bytes", limit))
	}
	return data.Bytes(), info.ModTime(), nil
}

// readWhole reads state.json, which may be exchanged and then be written as the spare
// while it is read. What is read twice the same, opened again, was not: no two states
// have one sequence.
func readWhole(fsys fs.FS) (data []byte, err error) {
	for range maxTorn {
		before := data
		if data, _, err = readFile(fsys, StateName, MaxStateBytes); err != nil {
			return nil, err
		}
		if before != nil && bytes.Equal(before, data) {
			return data, nil
		}
	}
	return nil, corrupt(StateName, errors.New("it changes faster than it can be read"))
}

// openRegular opens a file and returns what it is. What is not a regular file is
// refused before it is opened, since opening a named pipe could block for ever.
func openRegular(fsys fs.FS, name string) (fs.File, fs.FileInfo, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, corrupt(name, fmt.Errorf("not a regular file but %s", info.Mode()))
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	// It may have grown since.
	if info, err = f.Stat(); err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("cannot read file %s: %w", name, err)
	}
	return f, info, nil
}

func corrupt(name string, cause error) error {
	return banger.Errorf(banger.CodeCorrupt, "cannot read file %s: %w", name, cause)
}
