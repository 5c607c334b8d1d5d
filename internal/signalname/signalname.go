// Package signalname names Linux's signals; signal(7).
package signalname

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real-time signals have the names that bash, kill(1) and systemd give them, counted from
// the first that the C library leaves to programs; the kernel's own first is 32.
const (
	rtMin = 34
	rtMax = 64
)

// Of returns SIGKILL, SIGRTMIN+3, or SIG and the number of one that has no name.
func Of(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	switch n := int(s); {
	case n == rtMin:
		return "SIGRTMIN"
	case n == rtMax:
		return "SIGRTMAX"
	case n > rtMin && n <= (rtMin+rtMax)/2:
		return fmt.Sprintf("SIGRTMIN+%d", n-rtMin)
	case n > rtMin && n < rtMax:
		return fmt.Sprintf("SIGRTMAX-%d", rtMax-n)
	}
	return fmt.Sprintf("SIG%d", int(s))
}

// Parse returns the signal of a name as Of makes them, of every other sum that means a
// real-time signal, or of a number, with SIG before it or not; 0 if there is none.
func Parse(name string) syscall.Signal {
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	name = strings.TrimPrefix(name, "SIG")
	first, last, base := 1, rtMax, 0
	switch {
	case strings.HasPrefix(name, "RTMIN"):
		first, base, name = rtMin, rtMin, name[len("RTMIN"):]
	case strings.HasPrefix(name, "RTMAX"):
		first, base, name = rtMin, rtMax, name[len("RTMAX"):]
	}
	if base != 0 && name == "" {
		return syscall.Signal(base)
	}
	if base == 0 == strings.ContainsAny(name, "+-") {
		return 0
	}
	n, err := strconv.Atoi(name)
	if n += base; err != nil || n < first || n > last {
		return 0
	}
	return syscall.Signal(n)
}
