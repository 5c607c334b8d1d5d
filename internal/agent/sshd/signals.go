package sshd

import (
	"strings"
	"syscall"

	"banger/internal/signalname"
)

// signalNames are the names of RFC 4254, section 6.10; others carry the domain
// suffix that it asks for.
var signalNames = map[string]syscall.Signal{
	"ABRT": syscall.SIGABRT,
	"ALRM": syscall.SIGALRM,
	"FPE":  syscall.SIGFPE,
	"HUP":  syscall.SIGHUP,
	"ILL":  syscall.SIGILL,
	"INT":  syscall.SIGINT,
	"KILL": syscall.SIGKILL,
	"PIPE": syscall.SIGPIPE,
	"QUIT": syscall.SIGQUIT,
	"SEGV": syscall.SIGSEGV,
	"TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2,
}

func signalByName(name string) (syscall.Signal, bool) {
	signal, ok := signalNames[name]
	return signal, ok
}

func signalName(signal syscall.Signal) string {
	for name, s := range signalNames {
		if s == signal {
			return name
		}
	}
	return strings.TrimPrefix(signalname.Of(signal), "SIG") + "@openssh.com"
}
