// Package confine starts programs that reach only what they are given: those that
// are written in C and are fed by a guest or by an image. They run with
// no_new_privs and, where the kernel has it, under Landlock: see landlock(7).
package confine

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Rules say which files a program may open. All paths are absolute; a directory
// stands for all below it. A path that does not exist grants nothing, and leaves
// it to the program to say what it misses.
type Rules struct {
	Programs []string // may be read and executed
	Read     []string
	Write    []string // may be read, written and truncated; nothing may be made there
	Devices  []string // as Write, and may be controlled: ioctl(2)
}

// Do runs f, and confines by rules what it starts: every process that f starts
// itself, not from another goroutine. What f itself opens by name is confined too. f
// may use a Pdeathsig, since its thread lasts until it returns.
func Do(rules Rules, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- doOnThread(rules, f) }()
	return <-done
}

// doOnThread is Do on a thread of its own: what a thread has given up is inherited by
// what it starts, and by nothing else of this process. The thread is never unlocked, so
// it ends with its goroutine and nobody else ever runs on it.
func doOnThread(rules Rules, f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread cannot end, and answers for the process: not this one.
		defer runtime.UnlockOSThread()
		return Do(rules, f)
	}
	if err := enter(rules); err != nil {
		return fmt.Errorf("cannot confine a program: %w", err)
	}
	return f()
}

// enter confines the calling thread.
func enter(rules Rules) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	ruleset, flags, err := policy().NewRulesetFD(rules.landlock()...)
	if err != nil {
		return err
	}
	if ruleset < 0 {
		return nil // the kernel has no Landlock; see Supported
	}
	return errors.Join(ll.LandlockRestrictSelf(ruleset, flags), unix.Close(ruleset))
}

// policy is what is forbidden unless a rule grants it: all that the kernel knows to
// forbid about files, sockets in the file system, and signals to other programs. The
// network is QEMU's to use: a guest's packets leave through it.
func policy() landlock.Config {
	c := landlock.V9
	c.HandledAccessNet = 0
	return c.BestEffort().EnableLoggingForSubprocesses()
}

func (r Rules) landlock() []landlock.Rule {
	const truncate = ll.AccessFSTruncate
	grant := func(rights landlock.AccessFSSet, paths []string) []landlock.Rule {
		var rules []landlock.Rule
		for _, path := range paths {
			rights := rights
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				rights &^= ll.AccessFSReadDir // of a directory only, and an error otherwise
			}
			rules = append(rules, landlock.PathAccess(rights, path).IgnoreIfMissing())
		}
		return rules
	}
	const read = ll.AccessFSReadFile | ll.AccessFSReadDir
	rules := grant(read|ll.AccessFSExecute, r.Programs)
	rules = append(rules, grant(read, r.Read)...)
	rules = append(rules, grant(read|ll.AccessFSWriteFile|truncate, r.Write)...)
	return append(rules, grant(read|ll.AccessFSWriteFile|truncate|ll.AccessFSIoctlDev, r.Devices)...)
}

// Supported returns the version of the kernel's Landlock interface, 0 if it has none
// or did not switch it on when it booted.
func Supported() int {
	version, err := ll.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}

// System are the rules for a program of the host's distribution, wherever that keeps
// them, with its libraries. It has no file of a user's home, of /etc but the dynamic
// linker's, of /proc or of /run.
func System() Rules {
	return Rules{
		Programs: []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/gnu/store"},
		Read:     []string{"/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/zero", "/dev/random", "/dev/urandom"},
		Write:    []string{os.DevNull},
	}
}
