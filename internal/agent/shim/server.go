package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger"
	"banger/sessionstream"
)

const (
	maxConns = 256
	// attachTimeout is how long a client may take to say what it wants.
	attachTimeout = 10 * time.Second
	// sendTimeout is how long a client may take to read a message.
	sendTimeout = 5 * time.Second
	// farewellTimeout is how long all clients together may delay the shim's end.
	farewellTimeout = 3 * time.Second
)

// server serves the session's socket. What a client does harms only itself.
type server struct {
	listener *net.UnixListener
	dir      *os.File // the session's directory: the listener's path leads through it

	notifier   *notifier
	lease      lease
	ctx        context.Context // ends what blocks for a client; set by start, as are the next ones
	record     *record
	supervisor *supervisor
	logs       *logs
	stdin      *stdin    // nil if the command has none
	terminal   *terminal // nil if the command has none

	mu       sync.Mutex // guards the fields below
	conns    map[*conn]bool
	seats    map[string]*attachment // the newest connection of each attachment
	attached map[*attachment]bool   // those that get the exit
	over     bool
	final    banger.SessionState // once it is over

	running sync.WaitGroup // run and every connection
}

// listen makes the socket, for its owner only, without serving it yet.
func listen(path string) (*server, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open session directory: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	dir := os.NewFile(uintptr(fd), path)
	// The mask is the process's and the command inherits it, so it is put back
	// before anything is started.
	mask := syscall.Umask(0o177)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: SocketPath(dir), Net: "unix"})
	syscall.Umask(mask)
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("cannot listen on session socket: %w", err)
	}
	return &server{
		listener: listener, dir: dir, notifier: newNotifier(),
		conns: map[*conn]bool{}, seats: map[string]*attachment{}, attached: map[*attachment]bool{},
	}, nil
}

// start begins to serve a session.
func (s *server) start(ctx context.Context, x *session) {
	s.ctx, s.record, s.supervisor, s.logs, s.stdin, s.terminal = ctx, x.record, x.supervisor, x.logs, x.stdin, x.terminal
	s.running.Go(s.run)
}

func (s *server) run() {
	for {
		nc, err := s.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors or memory: the next to come may have more luck.
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c := &conn{server: s, net: nc, reader: sessionstream.NewReader(nc), writer: sessionstream.NewWriter(nc)}
		if err := s.admit(c); err != nil {
			_ = c.send(err)
			nc.Close()
			continue
		}
		s.running.Go(func() {
			defer s.dismiss(c)
			c.serve()
		})
	}
}

// admit counts a connection in, with the deadline for its first control. One that was
// accepted just before the session's end is told that, as are those before it.
func (s *server) admit(c *conn) *sessionstream.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) >= maxConns {
		return &sessionstream.Error{Code: sessionstream.CodeBusy, Text: fmt.Sprintf("the session has %d connections", maxConns)}
	}
	patience := attachTimeout
	if s.over {
		patience = farewellTimeout
	}
	c.net.SetReadDeadline(time.Now().Add(patience))
	s.conns[c] = true
	return nil
}

func (s *server) dismiss(c *conn) {
	c.net.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *server) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// sit makes a the one connection of its attachment. One that was there before is ended
// with CodeReplaced; none of its bytes reaches the command any more.
func (s *server) sit(a *attachment) {
	s.mu.Lock()
	last := s.seats[a.attach.AttachID]
	s.seats[a.attach.AttachID] = a
	s.mu.Unlock()
	if last != nil {
		s.lease.expel(last)
		last.refuse(replaced())
	}
}

// enter has the session's end sent to an attachment, also if that has come.
func (s *server) enter(a *attachment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached[a] = true
	if s.over {
		a.out.exit(s.final)
	}
}

func (s *server) leave(a *attachment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.attached, a)
	if s.seats[a.attach.AttachID] == a {
		delete(s.seats, a.attach.AttachID)
	}
}

// close removes the socket, lets every connection send what it has to say, the
// rest of the output and the final state, and ends them all. Those that take long
// are cut: what they have not got is in the logs.
func (s *server) close(final banger.SessionState) {
	s.listener.Close() // this removes the socket
	s.mu.Lock()
	s.over, s.final = true, final
	for a := range s.attached {
		a.out.exit(final)
	}
	for c := range s.conns {
		if c.known {
			c.net.SetReadDeadline(time.Now()) // what is queued is still sent
		} else { // what it wants may have arrived, or be about to
			c.net.SetReadDeadline(time.Now().Add(farewellTimeout))
		}
	}
	s.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		s.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-time.After(farewellTimeout):
	}
	s.dir.Close()
}
