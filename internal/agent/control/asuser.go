package control

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/passwd"
)

// asUser calls fn, in which files are looked at with the rights of user: the
// kernel itself judges, access lists and mount options included. It works on a
// thread that is thrown away, since Linux keeps credentials by thread;
// credentials(7), setfsuid(2).
func asUser(user passwd.User, fn func()) error {
	switch euid := os.Geteuid(); {
	case int(user.UID) == euid:
		fn()
		return nil
	case euid != 0:
		return banger.Errorf(banger.CodeMissing, "the guest's agent runs as user %d and cannot become another", euid)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		err := setFileUser(user)
		if err == nil {
			fn()
		}
		done <- err
	}()
	return <-done
}

// setFileUser changes what the calling thread may do with files. Leaving user 0
// takes the capabilities over files from the thread; capabilities(7).
func setFileUser(user passwd.User) error {
	// The functions of package unix would change every thread.
	_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(user.Groups)), uintptr(unsafe.Pointer(unsafe.SliceData(user.Groups))), 0)
	if errno != 0 {
		return fmt.Errorf("cannot set groups: %w", errno)
	}
	// These two report failure only by not having changed anything.
	_, _ = unix.SetfsgidRetGid(int(user.GID))
	_, _ = unix.SetfsuidRetUid(int(user.UID))
	gid, _ := unix.SetfsgidRetGid(-1)
	uid, _ := unix.SetfsuidRetUid(-1)
	if uid != int(user.UID) || gid != int(user.GID) {
		return fmt.Errorf("cannot become user %d with group %d", user.UID, user.GID)
	}
	return nil
}

// mayExecute asks whether this thread may execute a file or enter a folder.
func mayExecute(path string) error {
	if err := unix.Faccessat2(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}
