package shimclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/agent/shim"
	"banger/internal/sessiondir"
)

// maxCrashText bounds what is kept of the words of a shim that failed to begin.
const maxCrashText = 4096

// Config is what a shim is started with.
type Config struct {
	ShimPath string // of the banger-shim binary
	// Lock is the session's lock, held. The shim gets a descriptor of its own:
	// the caller closes this one, and the session stays owned by the shim.
	Lock   *os.File
	Launch shim.Launch
}

// Child is a shim process that this process has started. Wait must be called,
// once, by whoever called Spawn, else a zombie stays; if this process ends first,
// the shim goes on and is reaped by whoever adopts it.
type Child struct {
	process *os.Process
	pidfd   *os.File // nil on kernels without pidfds
}

// Spawn starts a shim and returns when its session runs or has failed to, which
// is a state and not an error. After an error, the end of ctx included, nothing
// runs and the Child is nil; the session's state may be any but an end, and who
// holds the lock has to settle it.
func Spawn(ctx context.Context, c Config) (sessiondir.State, *Child, error) {
	state, child, err := spawn(ctx, c)
	if err != nil {
		return sessiondir.State{}, nil, fmt.Errorf("cannot start shim of session %s: %w", c.Launch.Dir, err)
	}
	return state, child, nil
}

func spawn(ctx context.Context, c Config) (sessiondir.State, *Child, error) {
	message, err := json.Marshal(c.Launch)
	if err != nil {
		return sessiondir.State{}, nil, err
	}
	p, err := startProcess(c)
	if err != nil {
		return sessiondir.State{}, nil, err
	}
	defer p.closePipes()
	state, err := p.converse(ctx, message)
	if err == nil {
		return state, p.child, nil
	}
	_ = p.child.process.Kill() // its command dies with it
	_ = p.child.Wait()
	if ctx.Err() != nil {
		return sessiondir.State{}, nil, context.Cause(ctx)
	}
	if text := p.crashText(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return sessiondir.State{}, nil, err
}

// starting is a shim that has not reported yet.
type starting struct {
	child  *Child
	launch *os.File // the write end of its stdin
	report *os.File // the read end of its report
	crash  *os.File // its stderr: a file in memory
}

func startProcess(c Config) (_ *starting, err error) {
	p := &starting{}
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			p.closePipes()
		}
	}()
	stdin, launch, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	theirs, p.launch = append(theirs, stdin), launch
	report, reportEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	theirs, p.report = append(theirs, reportEnd), report
	fd, err := unix.MemfdCreate("banger-shim-stderr", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	p.crash = os.NewFile(uintptr(fd), "stderr")

	pidfd := -1
	process, err := os.StartProcess(c.ShimPath, []string{"banger-shim"}, &os.ProcAttr{
		Dir: "/",
		// One thread runs Go code at a time: less memory, and nothing to gain. With
		// huge pages, which Debian's kernel gives unasked, a shim would have 3 MiB.
		Env:   []string{"GOMAXPROCS=1", "GODEBUG=disablethp=1"},
		Files: []*os.File{stdin, nil, p.crash, shim.LockFD: c.Lock, shim.ReportFD: reportEnd},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		return nil, err
	}
	p.child = &Child{process: process}
	if pidfd >= 0 && unix.SetNonblock(pidfd, true) == nil {
		p.child.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return p, nil
}

// converse sends the launch and returns the report.
func (p *starting) converse(ctx context.Context, message []byte) (sessiondir.State, error) {
	stop := context.AfterFunc(ctx, func() {
		p.launch.SetWriteDeadline(time.Now())
		p.report.SetReadDeadline(time.Now())
	})
	defer stop()
	// A shim that does not take it has died or will say why.
	_, writeErr := p.launch.Write(message)
	p.launch.Close()
	data, err := io.ReadAll(io.LimitReader(p.report, shim.MaxReportMessage))
	switch {
	case err != nil:
		return sessiondir.State{}, fmt.Errorf("its report did not arrive: %w", err)
	case len(data) == 0:
		return sessiondir.State{}, errors.Join(errors.New("it ended before it reported"), writeErr)
	}
	var r shim.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return sessiondir.State{}, fmt.Errorf("its report makes no sense: %w", err)
	}
	if r.State == nil {
		return sessiondir.State{}, errors.New(r.Error)
	}
	return *r.State, nil
}

func (p *starting) closePipes() {
	for _, f := range []*os.File{p.launch, p.report, p.crash} {
		if f != nil {
			f.Close()
		}
	}
}

// crashText returns what the shim has written to its stderr.
func (p *starting) crashText() string {
	text := make([]byte, maxCrashText)
	n, _ := p.crash.ReadAt(text, 0)
	return string(bytes.TrimSpace(text[:n]))
}

// PID returns the shim's process id, valid until Wait returns.
func (c *Child) PID() int { return c.process.Pid }

// Wait returns when the shim has ended, and reaps it. While it waits it needs a
// goroutine but no thread.
func (c *Child) Wait() error {
	if c.pidfd != nil {
		defer c.pidfd.Close()
		if raw, err := c.pidfd.SyscallConn(); err == nil {
			// A pidfd becomes readable when its process ends; pidfd_open(2). If it
			// cannot be polled, the wait below blocks instead.
			_ = raw.Read(func(fd uintptr) bool { return ended(int(fd)) })
		}
	}
	state, err := c.process.Wait()
	if err != nil {
		return fmt.Errorf("cannot wait for shim: %w", err)
	}
	if !state.Success() {
		return fmt.Errorf("the shim ended with %s", state)
	}
	return nil
}

// ended reports whether a child has ended, without reaping it.
func ended(pidfd int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PIDFD, pidfd, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err != nil && err != unix.EINTR || info.Signo != 0
}
