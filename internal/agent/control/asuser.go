package control

import (
	"errors"
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
	return setFileIDs(int(user.UID), int(user.GID))
}

// setFileIDs sets the user and group of the calling thread's file system accesses.
func setFileIDs(uid, gid int) error {
	// These two report failure only by not having changed anything.
	_, _ = unix.SetfsgidRetGid(gid)
	_, _ = unix.SetfsuidRetUid(uid)
	gotGID, _ := unix.SetfsgidRetGid(-1)
	gotUID, _ := unix.SetfsuidRetUid(-1)
	if gotUID != uid || gotGID != gid {
		return fmt.Errorf("cannot become user %d with group %d", uid, gid)
	}
	return nil
}

// mayExecute asks whether this thread may execute a file or enter a directory.
func mayExecute(path string) error {
	err := unix.Faccessat2(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		// The kernel is older than 5.8, or a filter of system calls is: to ask for
		// execution itself never fails with EPERM, access(2).
		err = accessAsFileUser(path)
	}
	if err != nil {
		return &fs.PathError{Op: "access", Path: path, Err: err}
	}
	return nil
}

// accessAsFileUser is mayExecute by faccessat(2), which every kernel has and which judges
// by the thread's real user and group. While these are not the process's, that user may
// signal the thread and so the process; credentials(7).
func accessAsFileUser(path string) error {
	uid, _ := unix.SetfsuidRetUid(-1)
	gid, _ := unix.SetfsgidRetGid(-1)
	if uid == unix.Getuid() && gid == unix.Getgid() {
		return unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, 0)
	}
	if err := setRealIDs(uid, gid); err != nil {
		return errors.Join(err, setRealIDs(unix.Geteuid(), unix.Getegid()), setFileIDs(uid, gid))
	}
	answer := unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, 0)
	// The file user is the effective one now; setreuid(2).
	if err := errors.Join(setRealIDs(unix.Geteuid(), unix.Getegid()), setFileIDs(uid, gid)); err != nil {
		return err
	}
	return answer
}

// setRealIDs sets the real user and group of the calling thread only.
func setRealIDs(uid, gid int) error {
	same := ^uintptr(0)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETREGID, uintptr(gid), same, 0); errno != 0 {
		return fmt.Errorf("cannot set group %d: %w", gid, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETREUID, uintptr(uid), same, 0); errno != 0 {
		return fmt.Errorf("cannot set user %d: %w", uid, errno)
	}
	return nil
}
