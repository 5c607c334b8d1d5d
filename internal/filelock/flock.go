package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Flock takes a lock of flock(2) on a file, which is made if it is not there: unlike the others
// here, it can be shared, and waited for. how is an operation of flock(2); with unix.LOCK_NB a
// lock that is held is unix.EWOULDBLOCK. The file is open for writing, as NFS wants it; the lock
// ends when it is closed everywhere.
func Flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}
