package shim

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"banger"
)

// The size of a terminal unless the launch or somebody who attaches has another.
const (
	terminalRows = 24
	terminalCols = 80
)

// firstWindow is the size that a terminal begins with.
func (l Launch) firstWindow() banger.Window {
	if l.Window != nil {
		return *l.Window
	}
	return banger.Window{Rows: terminalRows, Cols: terminalCols}
}

// streams are the two sides of the command's standard streams.
type streams struct {
	child [3]int // given to the command; closed by closeChild
	// Ours are non-blocking; -1 or nil where there is none. With a terminal stdin and
	// stdout are two descriptors of it.
	stdin          *os.File
	stdout, stderr int
}

// openStreams makes the command's streams and gives them to its user, who may
// open them again by /dev/stdin and so on.
func openStreams(l Launch) (_ *streams, err error) {
	s := &streams{child: [3]int{-1, -1, -1}, stdout: -1, stderr: -1}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if l.TTY {
		err = s.openTerminal(l.firstWindow())
	} else {
		err = s.openPipes(l)
	}
	if err != nil {
		return nil, err
	}
	if int(l.UID) == os.Geteuid() {
		return s, nil
	}
	for i, fd := range s.child {
		if i == 0 && s.stdin == nil {
			continue // /dev/null
		}
		if err := unix.Fchown(fd, int(l.UID), -1); err != nil {
			return nil, fmt.Errorf("cannot give the standard streams to user %d: %w", l.UID, err)
		}
	}
	return s, nil
}

func (s *streams) openPipes(l Launch) (err error) {
	if l.StdinMode == banger.StdinPipe {
		var ours int
		if s.child[0], ours, err = openPipe("stdin", 0); err != nil {
			return err
		}
		if s.stdin, err = nonblocking(ours, "stdin"); err != nil {
			return err
		}
	} else if s.child[0], err = unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("cannot open /dev/null: %w", err)
	}
	if s.child[1], s.stdout, err = openPipe("stdout", 1); err != nil {
		return err
	}
	s.child[2], s.stderr, err = openPipe("stderr", 1)
	return err
}

// openPipe makes a pipe whose childEnd (0 reads, 1 writes) goes to the command. The other
// end is non-blocking.
func openPipe(name string, childEnd int) (child, ours int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, fmt.Errorf("cannot make a pipe for %s: %w", name, err)
	}
	if err := unix.SetNonblock(p[1-childEnd], true); err != nil {
		unix.Close(p[0])
		unix.Close(p[1])
		return -1, -1, fmt.Errorf("cannot set up %s: %w", name, err)
	}
	return p[childEnd], p[1-childEnd], nil
}

// openTerminal makes a pseudo-terminal; pty(7), ioctl_tty(2).
func (s *streams) openTerminal(w banger.Window) error {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open /dev/ptmx: %w", err)
	}
	s.stdout = master
	if err := unix.SetNonblock(master, true); err != nil {
		return fmt.Errorf("cannot set up terminal: %w", err)
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("cannot unlock terminal: %w", err)
	}
	if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: w.Rows, Col: w.Cols}); err != nil {
		return fmt.Errorf("cannot set size of terminal: %w", err)
	}
	// By the master and not by a path: /dev/pts may be another one's here.
	slave, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return fmt.Errorf("cannot open terminal: %w", errno)
	}
	s.child[0] = int(slave)
	for i := 1; i < len(s.child); i++ {
		if s.child[i], err = duplicate(s.child[0]); err != nil {
			return err
		}
	}
	second, err := duplicate(master)
	if err != nil {
		return err
	}
	s.stdin, err = nonblocking(second, "terminal")
	return err
}

func duplicate(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot duplicate terminal: %w", err)
	}
	return n, nil
}

// nonblocking takes over fd, so that its reads and writes wait in the runtime's
// poller and have deadlines.
func nonblocking(fd int, name string) (*os.File, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("cannot set up %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// closeChild closes what the command has got by now.
func (s *streams) closeChild() {
	for i, fd := range s.child {
		if fd >= 0 {
			unix.Close(fd)
		}
		s.child[i] = -1
	}
}

// close closes everything.
func (s *streams) close() {
	s.closeChild()
	if s.stdin != nil {
		s.stdin.Close()
	}
	for _, fd := range []int{s.stdout, s.stderr} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}
