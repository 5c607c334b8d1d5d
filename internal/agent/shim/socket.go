package shim

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// socket reads what whoever started the shim sends. It blocks the thread.
type socket struct{ locked bool }

// Read implements io.Reader. A lock that comes with the bytes stays open until the
// process ends, and is not inherited by any other.
func (s *socket) Read(p []byte) (int, error) {
	rights := make([]byte, unix.CmsgSpace(4)) // one descriptor
	for {
		n, control, _, _, err := unix.Recvmsg(SocketFD, p, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, os.NewSyscallError("recvmsg", err)
		case n == 0:
			return 0, io.EOF
		}
		s.locked = s.locked || control > 0
		return n, nil
	}
}

// launch reads the launch. Without its lock there is none.
func (s *socket) launch() (Launch, error) {
	l, err := readLaunch(s)
	if err == nil && !s.locked {
		return Launch{}, errors.New("cannot read launch: the session's lock did not come with it")
	}
	return l, err
}

// report sends the only message to whoever started the shim, and lets go of
// everything that was its.
func (s *socket) report(data []byte) error {
	pipe := os.NewFile(SocketFD, "socket")
	defer pipe.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for fd := range 3 {
		if err := unix.Dup3(int(null.Fd()), fd, 0); err != nil {
			return fmt.Errorf("cannot leave the standard streams: %w", err)
		}
	}
	if _, err := pipe.Write(data); err != nil {
		return fmt.Errorf("cannot report: %w", err)
	}
	return nil
}
