package sessiondir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/internal/sessiondir"
)

// lookedAt counts how often each file is looked at or opened.
type lookedAt struct {
	fs.FS
	opened, looked map[string]int
}

func (l lookedAt) Open(name string) (fs.File, error) {
	l.opened[name]++
	return l.FS.Open(name)
}

func (l lookedAt) Stat(name string) (fs.FileInfo, error) {
	l.looked[name]++
	return fs.Stat(l.FS, name)
}

// alive makes the directory of a session that ran when its machine ended.
func alive(t *testing.T) (dir string, id banger.SessionID) {
	t.Helper()
	dir = session(t, write{banger.StreamStdout, "some output\n", 0}, write{banger.StreamStderr, "more\n", time.Second})
	id = banger.NewSessionID()
	state := sessiondir.State{ID: id, BootID: "boot"}
	state.Status, state.Sequence, state.StartedAt = banger.StatusRunning, 2, epoch
	must(t, sessiondir.WriteState(dir, state))
	return dir, id
}

func TestReadRemains_OpensEachFileOnce(t *testing.T) {
	dir, id := alive(t)
	l := lookedAt{os.DirFS(dir), map[string]int{}, map[string]int{}}
	r, err := sessiondir.ReadRemains(l, id)
	if err != nil || r.State.ID != id || r.Totals == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, n := range l.opened {
		if n != 1 || l.looked[name] > 1 {
			t.Errorf("%s is opened %d times and looked at %d times", name, n, l.looked[name])
		}
	}
	if len(l.opened) != 4 || len(l.looked) > 4 {
		t.Errorf("%v are opened, %v looked at", l.opened, l.looked)
	}
}

func TestReadRemains_OfOneThatHasEndedIsItsStateOnly(t *testing.T) {
	dir, id := alive(t)
	state, err := sessiondir.ReadState(os.DirFS(dir))
	must(t, err)
	state.Status, state.Sequence, state.EndedBy = banger.StatusFailed, 3, banger.EndedBySignal
	must(t, sessiondir.WriteState(dir, state))
	l := lookedAt{os.DirFS(dir), map[string]int{}, map[string]int{}}
	r, err := sessiondir.ReadRemains(l, id)
	if err != nil || r.State.EndedBy != banger.EndedBySignal || len(l.opened) != 1 {
		t.Errorf("%+v, %v; %v are opened", r, err, l.opened)
	}
}

// What is read at once is what its parts say.
func TestReadRemains_IsWhatStateTotalsAndLastSignAre(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"whole":             func(string) error { return nil },
		"zeros at the end":  func(dir string) error { return os.Truncate(filepath.Join(dir, sessiondir.StdoutName), 100_000) },
		"without a journal": func(dir string) error { return os.Remove(filepath.Join(dir, sessiondir.JournalName)) },
		"without a log":     func(dir string) error { return os.Remove(filepath.Join(dir, sessiondir.StderrName)) },
		"a journal of garbage": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, sessiondir.JournalName), []byte("garbage"), 0o600)
		},
		"a state of garbage": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, sessiondir.StateName), []byte("{"), 0o600)
		},
		"a log that is a pipe": func(dir string) error {
			path := filepath.Join(dir, sessiondir.StdoutName)
			return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600))
		},
		"a state that is a directory": func(dir string) error {
			path := filepath.Join(dir, sessiondir.StateName)
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
		},
		"without a state": func(dir string) error { return os.Remove(filepath.Join(dir, sessiondir.StateName)) },
		"written later": func(dir string) error {
			at := time.Now().Add(time.Hour)
			return os.Chtimes(filepath.Join(dir, sessiondir.StderrName), at, at)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, id := alive(t)
			must(t, damage(dir))
			fsys := os.DirFS(dir)
			got, gotErr := sessiondir.ReadRemains(fsys, id)
			state, err := sessiondir.ReadState(fsys)
			if (err == nil) != (gotErr == nil) || err != nil && (err.Error() != gotErr.Error() || banger.CodeOf(err) != banger.CodeOf(gotErr)) {
				t.Errorf("the error is %v, not %v", gotErr, err)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return
			}
			if got.State.ID != state.ID || got.State.Sequence != state.Sequence {
				t.Errorf("the state is %+v, not %+v", got.State, state)
			}
			if want := sessiondir.LastSign(fsys); !got.LastSign.Equal(want) {
				t.Errorf("the last sign is at %v, not %v", got.LastSign, want)
			}
			totals, err := sessiondir.NewReader(fsys).Totals()
			if (err == nil) != (got.Totals != nil) || err == nil && *got.Totals != totals {
				t.Errorf("totals are %+v, not %+v, %v", got.Totals, totals, err)
			}
		})
	}
}

func TestReadRemains_StateOfAnotherSessionIsNone(t *testing.T) {
	dir, id := alive(t)
	r, err := sessiondir.ReadRemains(os.DirFS(dir), banger.NewSessionID())
	if banger.CodeOf(err) != banger.CodeCorrupt || r.State.ID == id || r.Totals == nil {
		t.Errorf("%+v, %v", r, err)
	}
}
