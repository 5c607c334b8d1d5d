package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/fsnotify/fsnotify"

	"banger/internal/filelock"
	"banger/internal/localsocket"
	"banger/internal/paths"
)

// guard makes again what somebody removes under the running daemon: its lock, its socket
// and the directory of that. A daemon whose state was moved or removed ends.
type guard struct {
	paths    paths.Paths
	state    os.FileInfo // of the directory that is ours
	lock     *filelock.Named
	socket   *localsocket.Listener
	shutdown context.CancelFunc
	log      *slog.Logger

	watcher *fsnotify.Watcher
	task    sync.WaitGroup
}

// newGuard begins to watch; close ends that.
func newGuard(p paths.Paths, lock *filelock.Named, socket *localsocket.Listener, shutdown context.CancelFunc, log *slog.Logger) (*guard, error) {
	state, err := os.Stat(p.State)
	if err != nil {
		return nil, err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("cannot watch directory %s: %w", p.State, err)
	}
	g := &guard{paths: p, state: state, lock: lock, socket: socket, shutdown: shutdown, log: log, watcher: watcher}
	if err := g.watch(); err != nil {
		return nil, errors.Join(err, watcher.Close())
	}
	g.task.Go(g.run)
	return g, nil
}

func (g *guard) close() {
	_ = g.watcher.Close()
	g.task.Wait()
}

// watch watches both directories, one of which may be another than before.
func (g *guard) watch() error {
	for _, dir := range []string{g.paths.State, g.paths.Run()} {
		if err := g.watcher.Add(dir); err != nil {
			return fmt.Errorf("cannot watch directory %s: %w", dir, err)
		}
	}
	return nil
}

func (g *guard) run() {
	g.mend() // what was removed before the watch began
	for {
		select {
		case e, ok := <-g.watcher.Events:
			if !ok {
				return
			}
			if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) || e.Has(fsnotify.Create) {
				g.mend()
			}
		case err, ok := <-g.watcher.Errors: // events were lost
			if !ok {
				return
			}
			g.log.Warn("cannot watch the daemon's directories", "cause", err)
			g.mend()
		}
	}
}

// mend makes again what is missing. What fails is tried again at the next event.
func (g *guard) mend() {
	now, err := os.Stat(g.paths.State)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, g.state) {
		g.log.Error("the directory of the state is gone, so this daemon ends", "directory", g.paths.State)
		g.shutdown()
		return
	}
	if err := g.lock.Renew(); err != nil {
		g.log.Error("cannot take the daemon's lock again", "cause", err)
	}
	if _, err := os.Lstat(g.paths.Run()); errors.Is(err, fs.ErrNotExist) {
		g.log.Warn("somebody removed the directory of the daemon's sockets; it is made again", "directory", g.paths.Run())
		if err := errors.Join(g.paths.Create(), g.watch()); err != nil {
			g.log.Error("cannot make the directory of the daemon's sockets again", "cause", err)
		}
	}
	renewed, err := g.socket.Renew()
	if err != nil {
		g.log.Error("cannot make the daemon's socket again", "cause", err)
	}
	if renewed {
		g.log.Warn("somebody removed the daemon's socket; it was made again", "socket", g.paths.Socket())
	}
}
