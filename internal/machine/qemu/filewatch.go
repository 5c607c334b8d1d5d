package qemu

import (
	"fmt"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// fileWatch reports writes to files. All machines share one inotify instance,
// since Linux gives a user 128 of them, and there is none while nobody watches.
// Safe for concurrent use.
type fileWatch struct {
	mu       sync.Mutex // guards the fields below
	inotify  *fsnotify.Watcher
	finished chan struct{} // closed when the goroutine that reads inotify has ended
	watchers map[string]map[chan<- struct{}]bool
}

// add watches files until cancel is called. What was written before add
// returned may not be reported, so the caller looks at the files after that.
// Several writes may be reported as one.
func (w *fileWatch) add(paths ...string) (changed <-chan struct{}, cancel func(), err error) {
	c := make(chan struct{}, 1)
	cancel = sync.OnceFunc(func() { w.remove(paths, c) })
	if err := w.register(paths, c); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("cannot watch files: %w", err)
	}
	return c, cancel, nil
}

func (w *fileWatch) register(paths []string, c chan<- struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inotify == nil {
		if err := w.open(); err != nil {
			return err
		}
	}
	for _, path := range paths {
		if err := w.inotify.Add(path); err != nil { // for each: it may be a new file
			return err
		}
		if w.watchers[path] == nil {
			w.watchers[path] = make(map[chan<- struct{}]bool)
		}
		w.watchers[path][c] = true
	}
	return nil
}

// remove ends a watch and, after the last one, waits for the goroutine's end.
func (w *fileWatch) remove(paths []string, c chan<- struct{}) {
	w.mu.Lock()
	for _, path := range paths {
		if !w.watchers[path][c] {
			continue
		}
		delete(w.watchers[path], c)
		if len(w.watchers[path]) == 0 {
			delete(w.watchers, path)
			_ = w.inotify.Remove(path) // fails if the file is gone, and the watch with it
		}
	}
	finished := w.finished
	unused := w.inotify != nil && len(w.watchers) == 0
	if unused {
		w.inotify.Close()
		w.inotify = nil
	}
	w.mu.Unlock()
	if unused {
		<-finished
	}
}

func (w *fileWatch) open() error {
	inotify, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	w.inotify, w.finished = inotify, make(chan struct{})
	w.watchers = make(map[string]map[chan<- struct{}]bool)
	go w.read(inotify, w.finished)
	return nil
}

// read passes events on until inotify is closed.
func (w *fileWatch) read(inotify *fsnotify.Watcher, finished chan<- struct{}) {
	defer close(finished)
	for {
		select {
		case e, ok := <-inotify.Events:
			if !ok {
				return
			}
			w.tell(e.Name)
		case _, ok := <-inotify.Errors: // events were lost
			if !ok {
				return
			}
			w.tell("")
		}
	}
}

// tell wakes those who watch a file, or everyone for "".
func (w *fileWatch) tell(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, channels := range w.watchers {
		if path != "" && p != path {
			continue
		}
		for c := range channels {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}
