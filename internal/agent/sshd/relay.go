package sshd

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

const relayBufferBytes = 32 << 10

// relay copies from a pipe or the master of a pseudo-terminal to a channel until
// the end of file, until the channel is closed, or until r's read deadline and
// the end of what r holds then. If the channel is closed, so is r: the command
// learns that nobody reads any more.
func relay(w io.Writer, r *os.File) {
	buf := make([]byte, relayBufferBytes)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				r.Close()
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			relayRest(w, r, buf)
			return
		}
		if err != nil { // EIO is the end of file of a pseudo-terminal
			return
		}
	}
}

// maxRestBytes is more than a pipe or a pseudo-terminal holds (pipe(7): 64 KiB),
// unless its capacity was raised; whoever continues writing is cut off there.
const maxRestBytes = 1 << 20

// relayRest copies what r holds now, without waiting for more.
func relayRest(w io.Writer, r *os.File, buf []byte) {
	fd, err := r.SyscallConn()
	if err != nil {
		return
	}
	for range maxRestBytes / len(buf) {
		n := 0
		// Control, unlike Read, does not look at the deadline. The descriptor is
		// non-blocking since it is in the poller.
		err := fd.Control(func(fd uintptr) { n, _ = unix.Read(int(fd), buf) })
		if err != nil || n <= 0 {
			return
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
	}
}

// exitCannotStart is a wait status: what a shell reports for a command that it
// cannot start.
const exitCannotStart = 127 << 8

// exitRefused is one that no command has had: that of a failure of banger.
const exitRefused = 125 << 8

// sendExit reports how a command ended, RFC 4254, section 6.10, and closes the
// channel. Its errors mean that the client has gone.
func sendExit(channel ssh.Channel, status syscall.WaitStatus) {
	if status.Signaled() {
		_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Message    string
			Language   string
		}{Signal: signalName(status.Signal()), CoreDumped: status.CoreDump()}))
	} else {
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())}))
	}
	_ = channel.CloseWrite() // after that the client may close the channel
	_ = channel.Close()
}
