package localsocket_test

import (
	"runtime"
	"syscall"
)

// becomeUser changes the user of this goroutine's thread alone: the system call,
// unlike its wrapper in package syscall, is about one thread; setresuid(2). The
// thread stays locked, so the runtime ends it with the goroutine.
func becomeUser(uid int) error {
	runtime.LockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
	if errno != 0 {
		return errno
	}
	return nil
}
