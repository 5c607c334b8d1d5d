package sessiondir

import (
	"io/fs"
	"time"
)

// LastSign returns the last time at which a session is known to have lived: the
// newest of when its files were written and of what its journal has. It is zero if
// nothing of that can be read.
func LastSign(fsys fs.FS) time.Time {
	last := lastRecord(fsys)
	for _, name := range []string{StateName, StdoutName, StderrName, JournalName} {
		if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last.UTC()
}

// lastRecord returns the time of the last record of the journal.
func lastRecord(fsys fs.FS) (last time.Time) {
	v, err := openView(fsys)
	if err != nil {
		return last
	}
	defer v.close()
	b, ok := v.previous(v.blocks-1, 0)
	if !ok {
		return last
	}
	for r := range v.records(b) {
		last = extent{micros: r.time, timed: true}.time()
	}
	return last
}
