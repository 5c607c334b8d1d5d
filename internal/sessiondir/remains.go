package sessiondir

import (
	"errors"
	"io/fs"
	"time"

	"banger"
)

// Remains are what is left of a session on the disk of a machine that has ended. Of one
// whose end is recorded only the state is read.
type Remains struct {
	State  State   // without an ID if it cannot be read
	Totals *Totals // what the logs and the journal say; nil if they cannot be read
	// LastSign is as the function LastSign returns it.
	LastSign time.Time
}

// ReadRemains reads the directory of a session to which nobody writes any more, each file
// once. The error is that of ReadState, and CodeCorrupt if the state is another session's;
// what else there is is returned with it, unless there is no state at all: fs.ErrNotExist.
func ReadRemains(fsys fs.FS, id banger.SessionID) (r Remains, err error) {
	data, written, err := readFile(fsys, StateName, MaxStateBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if err == nil {
		r.State, err = decodeState(data)
	}
	if err == nil && r.State.ID != id {
		r.State, err = State{}, banger.Errorf(banger.CodeCorrupt, "it is that of session %s", r.State.ID)
	}
	if r.State.Status.Ended() {
		return r, nil
	}
	v, viewErr := openView(fsys, true)
	if viewErr != nil || written.IsZero() {
		r.LastSign = LastSign(fsys)
	}
	if viewErr != nil {
		return r, err
	}
	defer v.close()
	if r.LastSign.IsZero() {
		r.LastSign = latest(v.last.time(), v.written, written)
	}
	v.crashed = err == nil
	if v.cutAllZeros() == nil {
		totals := v.totals()
		r.Totals = &totals
	}
	return r, err
}

// LastSign returns the last time at which a session is known to have lived: the
// newest of when its files were written and of what its journal has. It is zero if
// nothing of that can be read.
func LastSign(fsys fs.FS) time.Time {
	last := time.Time{}
	if v, err := openView(fsys, false); err == nil {
		last = v.last.time()
		v.close()
	}
	for _, name := range []string{StateName, StdoutName, StderrName, JournalName} {
		if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() {
			last = latest(last, info.ModTime())
		}
	}
	return last.UTC()
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last.UTC()
}
