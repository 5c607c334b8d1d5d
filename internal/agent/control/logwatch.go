package control

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// logWatcher reports when files are written to, through one inotify(7) instance:
// a user may have few of them. Safe for concurrent use.
type logWatcher struct {
	file *os.File
	done chan struct{} // closed when run has ended

	mu      sync.Mutex // guards watches, and that they are the kernel's
	watches map[int]map[chan struct{}]struct{}
}

func newLogWatcher() (*logWatcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch logs: %w", os.NewSyscallError("inotify_init1", err))
	}
	w := &logWatcher{
		file:    os.NewFile(uintptr(fd), "inotify"),
		done:    make(chan struct{}),
		watches: map[int]map[chan struct{}]struct{}{},
	}
	go w.run()
	return w, nil
}

// close ends all watches.
func (w *logWatcher) close() {
	w.file.Close()
	<-w.done
}

// watch returns a channel that has an element after each write to a file, and a
// function that ends the watch.
func (w *logWatcher) watch(path string) (written <-chan struct{}, stop func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot watch log: %w", err)
	}
	var wd int
	ctlErr := raw.Control(func(fd uintptr) {
		wd, err = unix.InotifyAddWatch(int(fd), path, unix.IN_MODIFY|unix.IN_DONT_FOLLOW)
	})
	if err = errors.Join(ctlErr, os.NewSyscallError("inotify_add_watch", err)); err != nil {
		return nil, nil, fmt.Errorf("cannot watch log %s: %w", path, err)
	}
	ch := make(chan struct{}, 1)
	if w.watches[wd] == nil {
		w.watches[wd] = map[chan struct{}]struct{}{}
	}
	w.watches[wd][ch] = struct{}{}
	return ch, func() { w.unwatch(wd, ch) }, nil
}

func (w *logWatcher) unwatch(wd int, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watches[wd], ch)
	if len(w.watches[wd]) > 0 {
		return
	}
	delete(w.watches, wd)
	if raw, err := w.file.SyscallConn(); err == nil {
		// It fails if the file is gone, and then so is the watch.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), uint32(wd)) })
	}
}

// run passes on events until the file is closed.
func (w *logWatcher) run() {
	defer close(w.done)
	buf := make([]byte, 64*(unix.SizeofInotifyEvent+unix.NAME_MAX+1))
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int(int32(binary.NativeEndian.Uint32(b)))
			name := binary.NativeEndian.Uint32(b[12:])
			b = b[unix.SizeofInotifyEvent+int(name):]
			w.wake(wd)
		}
	}
}

// wake wakes the watchers of wd, or all if events were lost.
func (w *logWatcher) wake(wd int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for watched, channels := range w.watches {
		if watched != wd && wd != -1 {
			continue
		}
		for ch := range channels {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}
