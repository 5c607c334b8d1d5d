package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"banger/internal/agent/control"
	"banger/internal/agent/pid1"
	"banger/internal/guestconfig"
	"banger/internal/hostid"
	"banger/internal/version"
)

// serveControl is the program of the control subsystem: it serves one link on
// its standard streams.
func serveControl(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("control", flag.ContinueOnError)
	sessions := flags.String("sessions-dir", guestconfig.SessionsDir, "holds one directory per session")
	shim := flags.String("shim", guestconfig.ShimPath, "program that owns one session")
	line := flags.String("announce", "", "line to print before the protocol begins, behind whatever a login shell has printed, and to wait for on stdin")
	ours := flags.Bool("machine", false, "this is a machine of banger's own, made by it")
	cgroup := flags.String("cgroup", pid1.SessionsCgroup, "cgroup for those of the sessions; not used if it is missing")
	shims := flags.String("shim-cgroup", "", "cgroup in which shims are started (default: that of this process)")
	systemd := flags.Bool("systemd", false, "the init of this machine is systemd")
	ownsClock := flags.Bool("own-clock", false, "let the daemon set the clock of this machine")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(*cgroup); err != nil {
		*cgroup = ""
	}
	if _, err := os.Stat(*shims); err != nil {
		*shims = ""
	}
	// Sessions have the login's mask. One that takes rights from their owner, too, would take
	// from us what we write.
	syscall.Umask(syscall.Umask(0o077) & 0o077)
	stdin, err := closableStdin()
	if err != nil {
		return err
	}
	if *line != "" {
		stop := context.AfterFunc(ctx, func() { stdin.Close() })
		err := announce(*line)
		if err == nil {
			err = skipToBeginning(stdin, *line)
		}
		if !stop() {
			return nil // a signal asked for it
		}
		if err != nil {
			return err
		}
	}
	var powerOff func() error
	if *ours {
		powerOff = func() error { return pid1.RunApplet("poweroff") }
	}
	if *ours && *systemd {
		powerOff = pid1.PowerOffSystemd
	}
	var machine string
	var login []string
	if *line != "" { // somebody else's host, whose home others may share
		machine = hostid.MachineID()
		login = os.Environ()
		if err := noteUse(machine); err != nil {
			slog.Warn("cannot note that this host uses the agent's version", "cause", err)
		}
	}
	err = control.Serve(ctx, control.Config{
		SessionsDir: *sessions,
		ShimPath:    *shim,
		CgroupRoot:  *cgroup,
		ShimCgroup:  *shims,
		Version:     version.String(),
		OwnsClock:   *ownsClock,
		PowerOff:    powerOff,
		Login:       login,
		MachineID:   machine,
		Logger:      slog.Default(),
	}, stdin, os.Stdout)
	if errors.Is(err, context.Canceled) {
		return nil // a signal asked for it
	}
	return err
}

// closableStdin returns the standard input as a file whose Close ends a Read.
func closableStdin() (*os.File, error) {
	if err := syscall.SetNonblock(syscall.Stdin, true); err != nil {
		return nil, fmt.Errorf("cannot use standard input: %w", err)
	}
	return os.NewFile(uintptr(syscall.Stdin), "stdin"), nil
}
