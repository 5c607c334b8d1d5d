// Package signals has a program, and what it starts, take signals as the kernel has a new
// process take them, whatever was ignored or blocked by who started it.
package signals

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// highest is the last real-time signal, SIGRTMAX; signal(7).
const highest = 64

// Reset takes it back that signals are ignored or blocked, which execve(2) hands down, as
// by nohup(1): what the program starts would not hear them either. The Go runtime has its
// own idea of that from the start, so the program is executed again, with the same
// arguments, environment and files; then, and where nothing was to be done, Reset returns
// nil. It is the first thing that main does, while there is nothing to be lost.
func Reset() error {
	ignored, blocked, err := inherited()
	if err != nil {
		return fmt.Errorf("cannot find which signals are ignored: %w", err)
	}
	if ignored|blocked == 0 {
		return nil
	}
	runtime.LockOSThread() // the mask is that of the thread that calls execve
	for signal := uintptr(1); signal <= highest; signal++ {
		if ignored&(1<<(signal-1)) == 0 {
			continue
		}
		if err := setDefault(signal); err != nil {
			return fmt.Errorf("cannot have signal %d do what it does by default: %w", signal, err)
		}
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil); err != nil {
		return fmt.Errorf("cannot unblock signals: %w", err)
	}
	return fmt.Errorf("cannot execute program again: %w", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// setDefault is rt_sigaction(2) with a struct sigaction of zeros, which is SIG_DFL, behind
// the back of the runtime: of a signal that it leaves ignored it has no handler.
func setDefault(signal uintptr) error {
	var action [4]uint64 // handler, flags, restorer, mask
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, signal, uintptr(unsafe.Pointer(&action)), 0, unsafe.Sizeof(action[3]), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// inherited returns the sets of signals that this process ignores and blocks; proc(5). The
// runtime has handlers by now for most of what was ignored: those end with execve.
func inherited() (ignored, blocked uint64, err error) {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return 0, 0, err
	}
	for name, set := range map[string]*uint64{"SigIgn": &ignored, "SigBlk": &blocked} {
		_, rest, found := bytes.Cut(status, []byte("\n"+name+":\t"))
		value, _, _ := bytes.Cut(rest, []byte("\n"))
		if !found {
			return 0, 0, errors.New("/proc/thread-self/status has no " + name)
		}
		if *set, err = strconv.ParseUint(string(value), 16, 64); err != nil {
			return 0, 0, err
		}
	}
	return ignored, blocked, nil
}
