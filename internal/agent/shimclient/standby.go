package shimclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/agent/shim"
	"banger/internal/sessiondir"
)

// maxCrashText bounds what is kept of the words of a shim that failed to begin.
const maxCrashText = 4096

// Standby is a shim process that waits for its launch. It ends at SIGTERM, and with the
// process that has started it, unless it has got one. Not safe for concurrent use.
type Standby struct {
	child *Child
	conn  *net.UnixConn
	crash *os.File // its stderr, without a name
}

// Start starts the shim whose program lies at path, in a cgroup (v2), or in that of this
// process if it is "". Launch or Close must follow.
func Start(path, cgroup string) (*Standby, error) {
	s, err := start(path, cgroup)
	if err != nil {
		return nil, fmt.Errorf("cannot start shim: %w", err)
	}
	return s, nil
}

func start(path, cgroup string) (_ *Standby, err error) {
	s := &Standby{}
	defer func() {
		if err != nil {
			s.closeFiles()
		}
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "shim"), os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	s.conn = conn.(*net.UnixConn)
	if s.crash, err = namelessFile(); err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pidfd := -1
	attr := &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}
	if cgroup != "" {
		dir, err := os.Open(cgroup)
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	}
	process, err := os.StartProcess(path, []string{"banger-shim"}, &os.ProcAttr{
		Dir: "/",
		// One thread runs Go code at a time: less memory, and nothing to gain. With
		// huge pages, which Debian's kernel gives by default, a shim would have 3 MiB.
		Env:   []string{"GOMAXPROCS=1", "GODEBUG=disablethp=1"},
		Files: []*os.File{null, null, s.crash, shim.SocketFD: theirs},
		Sys:   attr,
	})
	if err != nil {
		return nil, err
	}
	s.child = &Child{process: process}
	if pidfd >= 0 && unix.SetNonblock(pidfd, true) == nil {
		s.child.pidfd = os.NewFile(uintptr(pidfd), "pidfd")
	}
	return s, nil
}

// namelessFile makes a file in memory, or where no filter of system calls lets that
// through, among the temporary ones.
func namelessFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("banger-shim-stderr", unix.MFD_CLOEXEC)
	if err == nil {
		return os.NewFile(uintptr(fd), "stderr"), nil
	}
	f, tempErr := os.CreateTemp("", "banger-shim-stderr-")
	if tempErr != nil {
		return nil, errors.Join(os.NewSyscallError("memfd_create", err), tempErr)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Launch has the shim own the session whose lock is held, and returns when that runs or
// has failed to, which is a state and not an error. The shim gets a descriptor of the
// lock of its own: the caller closes this one, and the session stays owned. After an
// error, the end of ctx included, nothing runs and the Child is nil; the session's state
// may be any but an end, and whoever holds the lock has to settle it.
func (s *Standby) Launch(ctx context.Context, lock *os.File, l shim.Launch) (sessiondir.State, *Child, error) {
	state, err := s.launch(ctx, lock, l)
	if err != nil {
		return sessiondir.State{}, nil, fmt.Errorf("cannot start shim of session %s: %w", l.Dir, err)
	}
	return state, s.child, nil
}

func (s *Standby) launch(ctx context.Context, lock *os.File, l shim.Launch) (state sessiondir.State, err error) {
	defer s.closeFiles()
	message, err := json.Marshal(l)
	if err == nil {
		state, err = s.converse(ctx, lock, message)
	}
	if err == nil {
		return state, nil
	}
	s.kill() // its command dies with it
	if ctx.Err() != nil {
		return state, context.Cause(ctx)
	}
	if text := s.crashText(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return state, err
}

// converse sends the launch and returns the report.
func (s *Standby) converse(ctx context.Context, lock *os.File, message []byte) (sessiondir.State, error) {
	stop := context.AfterFunc(ctx, func() { s.conn.SetDeadline(time.Now()) })
	defer stop()
	// A shim that does not take it has died or will say why.
	writeErr := s.send(message, lock)
	data, err := io.ReadAll(io.LimitReader(s.conn, shim.MaxReportMessage))
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

// send sends a message with a file, and then the end of what it sends.
func (s *Standby) send(message []byte, file *os.File) error {
	n, _, err := s.conn.WriteMsgUnix(message, unix.UnixRights(int(file.Fd())), nil)
	if err == nil {
		_, err = s.conn.Write(message[n:])
	}
	return errors.Join(err, s.conn.CloseWrite())
}

// Alive reports whether the shim still waits.
func (s *Standby) Alive() bool { return !s.child.hasEnded() }

// Close ends a shim that has got no launch.
func (s *Standby) Close() {
	s.closeFiles()
	s.kill()
}

func (s *Standby) kill() {
	_ = s.child.process.Kill()
	_ = s.child.Wait()
}

func (s *Standby) closeFiles() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.crash != nil {
		s.crash.Close()
	}
}

// crashText returns what the shim has written to its stderr.
func (s *Standby) crashText() string {
	text := make([]byte, maxCrashText)
	n, _ := s.crash.ReadAt(text, 0)
	return string(bytes.TrimSpace(text[:n]))
}
