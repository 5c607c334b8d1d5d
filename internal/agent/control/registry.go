package control

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/keylock"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// registry has the sessions of this host: it finds them on the disk, and knows those that
// live. Safe for concurrent use.
type registry struct {
	parent    string // as Config.SessionsDir
	machineID string // as Config.MachineID
	pushes    *pushes
	settler   *settler
	watcher   *watcher
	tasks     *tasks
	claims    keylock.Locks[banger.SessionID] // each is held while its session is launched, taken in or removed

	mu       sync.Mutex                    // guards sessions
	sessions map[banger.SessionID]*session // those that have not ended, and that were launched or asked about here
}

// claim waits until nobody else launches, takes in or removes a session of that id. It
// comes before every other lock.
func (r *registry) claim(id banger.SessionID) (unlock func()) { return r.claims.Hold(id) }

// create makes the directory of a new session, and locks it; sessiondir.Create. The
// caller holds its claim.
func (r *registry) create(l guestapi.GuestLaunch) (dir string, lock *os.File, err error) {
	return sessiondir.Create(r.parent, l)
}

// add makes a session known that was launched here. The caller holds its claim.
func (r *registry) add(id banger.SessionID, dir string, state banger.SessionState) *session {
	x := newSession(id, dir, state, r.pushes.push)
	r.register(x)
	return x
}

// dir returns the directory of a session.
func (r *registry) dir(id banger.SessionID) string { return filepath.Join(r.parent, string(id)) }

func (r *registry) register(x *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[x.id] = x
}

func (r *registry) forget(id banger.SessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, id)
}

// find returns the session that a request names.
func (r *registry) find(id banger.SessionID) (*session, error) {
	if !banger.ValidID(string(id)) {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot find session %.40q: not a session id", string(id))
	}
	unlock := r.claim(id)
	defer unlock()
	x := r.takeIn(id)
	if x == nil {
		return nil, banger.Errorf(banger.CodeNotFound, "cannot find session %s: the guest has no such session", id)
	}
	x.want()
	return x, nil
}

// lookup returns a session that this server knows, else nil.
func (r *registry) lookup(id banger.SessionID) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[id]
}

// takeIn returns a session, nil if there is none of this host. One that this server did not
// know is read from the disk: if it lives, it is watched from now on; if it has
// lost its owner, its end is recorded; one whose end is recorded is not kept, since
// there may be any number of them. The caller holds its claim.
func (r *registry) takeIn(id banger.SessionID) *session {
	if x := r.lookup(id); x != nil {
		return x
	}
	dir := r.dir(id)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	state, err := sessiondir.ReadState(os.DirFS(dir))
	if err == nil && r.foreign(state) {
		return nil
	}
	if err != nil {
		// Whoever owns it will report it; if nobody does, settle records why.
		state = sessiondir.State{}
		state.Status = banger.StatusStarting
	}
	x := newSession(id, dir, state.SessionState, r.pushes.push)
	if err == nil && x.ended() {
		return x
	}
	if !x.ended() && (owned(dir) || !r.settler.settle(x, false)) {
		command := process.Identity{PID: state.GuestPID, StartTime: state.PIDStartTime, BootID: state.BootID}
		r.tasks.work.Go(func() {
			r.watcher.watchInTurn(x, command)
			r.release(x)
		})
	}
	r.register(x)
	return x
}

// release forgets a session that has ended, unless its disk does not say so.
func (r *registry) release(x *session) {
	unlock := r.claim(x.id)
	defer unlock()
	if !x.ended() || r.lookup(x.id) != x {
		return
	}
	if state, err := sessiondir.ReadState(os.DirFS(x.dir)); err == nil && state.Status.Ended() {
		r.forget(x.id)
	}
}

// forgetRemoved forgets a session that another control server has removed, and reports
// whether it has. The caller holds its claim.
func (r *registry) forgetRemoved(id banger.SessionID) bool {
	if r.lookup(id) == nil {
		return false
	}
	if _, err := os.Lstat(r.dir(id)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	r.forget(id)
	return true
}

// foreign reports whether a session is of another host that shares the directory. Whether
// one lives cannot be determined here: its processes are elsewhere, and so may be its locks.
func (r *registry) foreign(state sessiondir.State) bool {
	return r.machineID != "" && state.MachineID != "" && state.MachineID != r.machineID
}

// owned reports whether somebody holds the lock of a session.
func owned(dir string) bool {
	lock, err := sessiondir.TryLock(dir)
	if err == nil {
		lock.Close()
	}
	return errors.Is(err, sessiondir.ErrLocked)
}
