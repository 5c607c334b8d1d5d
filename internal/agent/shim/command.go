package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"banger"
)

// startCommand starts the command with the streams' other ends. Only the
// process's first thread may call it: the command gets a SIGKILL when the thread
// that started it ends (PR_SET_PDEATHSIG, prctl(2)), and that one ends with the
// process. The error is the bare errno.
func startCommand(l Launch, s *streams, group *cgroup) (pid int, err error) {
	attr := &syscall.ProcAttr{
		Dir:   string(l.Cwd),
		Env:   banger.Strings(l.Env),
		Files: []uintptr{uintptr(s.child[0]), uintptr(s.child[1]), uintptr(s.child[2])},
		Sys: &syscall.SysProcAttr{
			Setsid:    true,
			Setctty:   l.TTY, // of descriptor 0
			Pdeathsig: syscall.SIGKILL,
		},
	}
	if group != nil {
		attr.Sys.UseCgroupFD = true
		attr.Sys.CgroupFD = int(group.dir.Fd())
	}
	if int(l.UID) != os.Geteuid() || int(l.GID) != os.Getegid() {
		attr.Sys.Credential = &syscall.Credential{Uid: l.UID, Gid: l.GID, Groups: l.Groups}
	}
	return syscall.ForkExec(string(l.Path), banger.Strings(l.Argv), attr)
}

// launchError is a start that failed, in the words of the session's record.
type launchError struct {
	cause        banger.LaunchCause
	message, raw string
}

func (e *launchError) Error() string { return e.message }

// explain says what the errno of a failed start means here. That the command
// exists and is executable has been checked before; execve(2) has the rest.
func explain(l Launch, err error) *launchError {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return &launchError{message: fmt.Sprintf("cannot start %s: %v", l.Path, err), raw: err.Error()}
	}
	cause := errno.Error()
	switch errno {
	case syscall.ENOEXEC:
		cause = "it is neither a program of this machine nor a script that begins with #!"
	case syscall.ENOENT:
		cause = "it, the interpreter in its first line, its dynamic loader or the working directory does not exist"
	case syscall.EACCES:
		cause = "the user may not execute it, its interpreter, or enter the working directory"
	case syscall.EPERM:
		cause = "the shim may not change to that user, or the file system allows no execution"
	case syscall.ETXTBSY:
		cause = "it is open for writing"
	case syscall.E2BIG:
		cause = "its arguments and environment are larger than the system takes"
	}
	return &launchError{
		cause:   causeOf(errno),
		message: fmt.Sprintf("cannot start %s: %s", l.Path, cause),
		raw: fmt.Sprintf("execve %q in %q as uid %d: %s (%s, errno %d)",
			string(l.Path), string(l.Cwd), l.UID, errno.Error(), unix.ErrnoName(errno), int(errno)),
	}
}

// causeOf tells an errno that execve(2) has about the command from one about the system,
// such as ENOMEM, which it returns "".
func causeOf(errno syscall.Errno) banger.LaunchCause {
	switch errno {
	case syscall.ENOENT:
		return banger.LaunchCommandNotFound
	case syscall.ENOEXEC, syscall.EACCES, syscall.EPERM, syscall.ETXTBSY, syscall.E2BIG, syscall.ENOTDIR, syscall.EISDIR,
		syscall.ELOOP, syscall.ELIBBAD, syscall.EINVAL, syscall.ENAMETOOLONG:
		return banger.LaunchCommandNotExecutable
	}
	return ""
}
