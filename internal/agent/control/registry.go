package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"banger"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// scanParallel is how many sessions are taken in at once. Each may wait for the
// disk, when its end must be written.
const scanParallel = 8

// dir returns the folder of a session.
func (s *server) dir(id banger.SessionID) string { return filepath.Join(s.SessionsDir, string(id)) }

// known returns all sessions, in the order of their ids.
func (s *server) known() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*session, 0, len(s.sessions))
	for _, x := range s.sessions {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b *session) int { return strings.Compare(string(a.id), string(b.id)) })
	return list
}

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
		return nil, banger.Errorf(banger.CodeInvalid, "cannot find session %.40q: that is no session id", string(id))
	}
	unlock := s.claims.lock(id)
	defer unlock()
	x := s.takeIn(id)
	if x == nil {
		return nil, banger.Errorf(banger.CodeNotFound, "cannot find session %s: the guest has no such session", id)
	}
	x.want()
	return x, nil
}

// takeInAll makes the known sessions those that are on the disk.
func (s *server) takeInAll() error {
	entries, err := os.ReadDir(s.SessionsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot list sessions: %w", err)
	}
	onDisk := make(map[banger.SessionID]bool, len(entries))
	var group errgroup.Group
	group.SetLimit(scanParallel)
	for _, e := range entries {
		if !e.IsDir() || !banger.ValidID(e.Name()) {
			continue
		}
		id := banger.SessionID(e.Name())
		onDisk[id] = true
		if s.lookup(id) != nil {
			continue
		}
		group.Go(func() error {
			unlock := s.claims.lock(id)
			defer unlock()
			s.takeIn(id)
			return nil
		})
	}
	_ = group.Wait()
	for _, x := range s.known() {
		if onDisk[x.id] {
			continue
		}
		if _, err := os.Lstat(x.dir); errors.Is(err, fs.ErrNotExist) {
			s.forget(x.id) // another control server has removed it
		}
	}
	return nil
}

// lookup returns a session that this server knows, else nil.
func (s *server) lookup(id banger.SessionID) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// takeIn returns a session, nil if there is none. One that this server did not
// know is read from the disk: if it lives, it is watched from now on; if it has
// lost its owner, its end is recorded. The caller holds its claim.
func (s *server) takeIn(id banger.SessionID) *session {
	if x := s.lookup(id); x != nil {
		return x
	}
	dir := s.dir(id)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	state, err := sessiondir.ReadState(os.DirFS(dir))
	if err != nil {
		// Whoever owns it will tell; if nobody does, settle records why.
		state = sessiondir.State{}
		state.Status = banger.StatusStarting
	}
	x := newSession(id, dir, state.SessionState, s.push)
	if !x.ended() && (owned(dir) || !s.settle(x, false)) {
		command := process.Identity{PID: state.GuestPID, StartTime: state.PIDStartTime, BootID: state.BootID}
		s.tasks.Go(func() { s.watchInTurn(x, command) })
	}
	s.register(x)
	return x
}

// owned reports whether somebody holds the lock of a session.
func owned(dir string) bool {
	lock, err := sessiondir.TryLock(dir)
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, sessiondir.ErrLocked)
}
