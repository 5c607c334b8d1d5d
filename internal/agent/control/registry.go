package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"banger"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// dir returns the directory of a session.
func (s *server) dir(id banger.SessionID) string { return filepath.Join(s.SessionsDir, string(id)) }

func (s *server) register(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions[x.id] = x
}

func (s *server) forget(id banger.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
}

// find returns the session that a request names.
func (s *server) find(id banger.SessionID) (*session, error) {
	if !banger.ValidID(string(id)) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot find session %.40q: not a session id", string(id))
	}
	unlock := s.claims.Hold(id)
	defer unlock()
	x := s.takeIn(id)
	if x == nil {
		return nil, banger.Errorf(banger.CodeNotFound, "cannot find session %s: the guest has no such session", id)
	}
	x.want()
	return x, nil
}

// lookup returns a session that this server knows, else nil.
func (s *server) lookup(id banger.SessionID) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// takeIn returns a session, nil if there is none of this host. One that this server did not
// know is read from the disk: if it lives, it is watched from now on; if it has
// lost its owner, its end is recorded; one whose end is recorded is not kept, since
// there may be any number of them. The caller holds its claim.
func (s *server) takeIn(id banger.SessionID) *session {
	if x := s.lookup(id); x != nil {
		return x
	}
	dir := s.dir(id)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	state, err := sessiondir.ReadState(os.DirFS(dir))
	if err == nil && s.foreign(state) {
		return nil
	}
	if err != nil {
		// Whoever owns it will report it; if nobody does, settle records why.
		state = sessiondir.State{}
		state.Status = banger.StatusStarting
	}
	x := newSession(id, dir, state.SessionState, s.push)
	if err == nil && x.ended() {
		return x
	}
	if !x.ended() && (owned(dir) || !s.settle(x, false)) {
		command := process.Identity{PID: state.GuestPID, StartTime: state.PIDStartTime, BootID: state.BootID}
		s.tasks.Go(func() {
			s.watchInTurn(x, command)
			s.release(x)
		})
	}
	s.register(x)
	return x
}

// release forgets a session that has ended, unless its disk does not say so.
func (s *server) release(x *session) {
	unlock := s.claims.Hold(x.id)
	defer unlock()
	if !x.ended() || s.lookup(x.id) != x {
		return
	}
	if state, err := sessiondir.ReadState(os.DirFS(x.dir)); err == nil && state.Status.Ended() {
		s.forget(x.id)
	}
}

// foreign reports whether a session is of another host that shares the directory. Whether
// whether one lives cannot be determined here: its processes are elsewhere, and so may be its locks.
func (s *server) foreign(state sessiondir.State) bool {
	return s.MachineID != "" && state.MachineID != "" && state.MachineID != s.MachineID
}

// owned reports whether somebody holds the lock of a session.
func owned(dir string) bool {
	lock, err := sessiondir.TryLock(dir)
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, sessiondir.ErrLocked)
}
