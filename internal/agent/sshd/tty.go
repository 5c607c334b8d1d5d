package sshd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger/internal/agent/passwd"
)

// maxTermBytes bounds the name of a terminal type.
const maxTermBytes = 128

// windowSize is the payload of a window-change request, RFC 4254, section 6.7.
type windowSize struct {
	Columns, Rows, WidthPixels, HeightPixels uint32
}

func (s windowSize) winsize() *pty.Winsize {
	clamp := func(n uint32) uint16 { return uint16(min(n, 1<<16-1)) }
	return &pty.Winsize{Cols: clamp(s.Columns), Rows: clamp(s.Rows), X: clamp(s.WidthPixels), Y: clamp(s.HeightPixels)}
}

// ttyRequest is what a pty-req asks for, RFC 4254, section 6.2.
type ttyRequest struct {
	Term  string
	Size  windowSize
	Modes []ttyMode
}

// ttyMode is one encoded terminal mode, RFC 4254, section 8.
type ttyMode struct {
	Opcode uint8
	Value  uint32
}

func parseTTYRequest(payload []byte) (ttyRequest, error) {
	var m struct {
		Term                                     string
		Columns, Rows, WidthPixels, HeightPixels uint32
		Modes                                    string
	}
	if err := ssh.Unmarshal(payload, &m); err != nil {
		return ttyRequest{}, err
	}
	if len(m.Term) > maxTermBytes {
		return ttyRequest{}, errors.New("cannot use terminal type: its name is too long")
	}
	return ttyRequest{
		Term:  m.Term,
		Size:  windowSize{m.Columns, m.Rows, m.WidthPixels, m.HeightPixels},
		Modes: parseTTYModes([]byte(m.Modes)),
	}, nil
}

// parseTTYModes reads modes up to TTY_OP_END or the first opcode that has no
// defined length, as the RFC says.
func parseTTYModes(data []byte) []ttyMode {
	var modes []ttyMode
	for len(data) >= 5 && data[0] != 0 && data[0] < 160 {
		modes = append(modes, ttyMode{data[0], binary.BigEndian.Uint32(data[1:])})
		data = data[5:]
	}
	return modes
}

// open makes a pseudo-terminal of the requested size and modes that belongs to
// user. Reads of the master take deadlines.
func (r ttyRequest) open(user passwd.User) (master, slave *os.File, err error) {
	master, slave, err = pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open pseudo-terminal: %w", err)
	}
	err = errors.Join(pty.Setsize(master, r.Size.winsize()), r.setModes(slave))
	if os.Geteuid() == 0 {
		err = errors.Join(err, slave.Chown(int(user.UID), -1)) // the group is tty, by devpts
	}
	if err != nil {
		master.Close()
		slave.Close()
		return nil, nil, fmt.Errorf("cannot set up pseudo-terminal: %w", err)
	}
	return master, slave, nil
}

func (r ttyRequest) setModes(tty *os.File) error {
	return withFD(tty, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		for _, m := range r.Modes {
			m.apply(t)
		}
		return unix.IoctlSetTermios(fd, unix.TCSETS, t)
	})
}

// sendEOF types the end-of-file character, which a terminal in canonical mode
// turns into an end of file. A program that reads raw has no such thing.
func sendEOF(master *os.File) {
	_ = withFD(master, func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil && t.Lflag&unix.ICANON != 0 {
			_, err = unix.Write(fd, []byte{t.Cc[unix.VEOF]})
		}
		return err
	})
}

// withFD calls fn with a file's descriptor, which stays open and non-blocking.
func withFD(f *os.File, fn func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if e := conn.Control(func(fd uintptr) { err = fn(int(fd)) }); e != nil {
		return e
	}
	return err
}
