package transfer

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setAttributes sets what an entry says of an open file or directory: the owner first, which
// takes rights away, then the mode, then extended attributes.
func (s *diskSink) setAttributes(fd int, e *Entry) error {
	var errs []error
	mode := e.Mode & 0o777
	if s.owners {
		if err := unix.Fchown(fd, int(e.UID), int(e.GID)); err != nil {
			errs = append(errs, fmt.Errorf("cannot set the owner: %w", err))
		} else {
			mode = e.Mode
		}
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		errs = append(errs, fmt.Errorf("cannot set the mode: %w", err))
	}
	for _, x := range e.Xattrs {
		if strings.HasPrefix(x.Name, "user.") || s.owners && ownersOnly(x.Name) {
			_ = unix.Fsetxattr(fd, x.Name, x.Value, 0) // where there are such
		}
	}
	if err := futimens(fd, times(e)); err != nil {
		errs = append(errs, fmt.Errorf("cannot set the time: %w", err))
	}
	return errors.Join(errs...)
}

// times leaves the time of access as it is.
func times(e *Entry) []unix.Timespec {
	return []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: e.ModTime.Unix(), Nsec: int64(e.ModTime.Nanosecond())}}
}

// futimens sets the times of an open file; utimensat(2) without a path, which x/sys has not.
func futimens(fd int, times []unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
