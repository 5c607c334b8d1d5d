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
	return flock(f, how)
}

// FlockDir takes the lock of flock(2) on a directory for its caller alone, without waiting: if
// another has it, the error is unix.EWOULDBLOCK. It ends when the directory is closed.
func FlockDir(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	return flock(f, unix.LOCK_EX|unix.LOCK_NB)
}

func flock(f *os.File, how int) (*os.File, error) {
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
