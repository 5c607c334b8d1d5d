package cli

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// waker ends calls of poll: those that wait, and those that come later.
type waker struct{ read, write *os.File }

func newWaker() (*waker, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("cannot wait for streams: %w", err)
	}
	return &waker{r, w}, nil
}

// poll returns when one of fds has an event, which is then in it, or when it is woken;
// poll(2). It reports whether that is so, or nothing can be waited for.
func (w *waker) poll(fds []unix.PollFd) (woken bool) {
	all := append([]unix.PollFd{{Fd: int32(w.read.Fd()), Events: unix.POLLIN}}, fds...)
	for {
		_, err := unix.Poll(all, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		copy(fds, all[1:])
		return err != nil || all[0].Revents != 0
	}
}

// wake may be called once.
func (w *waker) wake() { w.write.Close() }

// close is for when no call of poll waits any more.
func (w *waker) close() {
	w.write.Close() // twice is fine
	w.read.Close()
}
