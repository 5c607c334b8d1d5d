// Package aging keeps files in directories of everybody's, such as /var/tmp, from being
// removed because nobody has touched them for a while.
package aging

import (
	"os"

	"golang.org/x/sys/unix"
)

// Exclude keeps what lies in a directory, and below it, from systemd-tmpfiles until the
// file that it returns is closed, or the process ends: that program passes over a
// directory on which somebody has a lock of flock(2); tmpfiles.d(5), on the age field.
// The lock is shared, so that any number of processes may have it.
func Exclude(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	return f, nil
}
