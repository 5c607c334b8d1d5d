package sshd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"banger"
	"banger/internal/agent/passwd"
)

// lingerTime is how long output is still read after the command itself has
// ended, for helpers that it left behind (`> >(tee log)`). One that holds stdout
// open longer than that does not keep the channel.
const lingerTime = 2 * time.Second

// program is what to execute.
type program struct {
	path string
	argv []string
	env  map[string]banger.ByteString // of the image; nil for our own programs
	own  bool                         // in the directory and with the rights of this process, not the user's
	// refusal, if not empty, is what is said instead.
	refusal string
}

// program is the only one that there is, with more arguments.
func (o *Only) program(more ...string) program {
	return program{path: o.Command[0], argv: append(o.Command[:len(o.Command):len(o.Command)], more...), own: true}
}

// command is a running program with our ends of its streams. A nil command,
// before the start, takes hangUp, signal and resize.
type command struct {
	cmd    *exec.Cmd
	stdin  *os.File // the master with a pseudo-terminal
	stdout *os.File // the master with a pseudo-terminal
	stderr *os.File // nil with a pseudo-terminal
	isTTY  bool
	exited chan struct{} // closed when the program has been reaped

	hangUpOnce sync.Once
	mu         sync.Mutex // guards reaped, and with it that the process group is ours
	reaped     bool
}

// startCommand starts p by start as user, in a session of its own.
func startCommand(start func(*exec.Cmd) error, p program, user passwd.User, env []string, tty *ttyRequest) (*command, error) {
	c := &command{exited: make(chan struct{})}
	c.cmd = &exec.Cmd{Path: p.path, Args: p.argv, Env: env, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if !p.own {
		c.cmd.Dir = user.Home
		if !mayEnter(user, user.Home) {
			c.cmd.Dir = "/"
		}
		if os.Geteuid() == 0 {
			c.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups}
		}
	}
	theirs, err := c.openStreams(user, tty)
	if err == nil {
		err = start(c.cmd)
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		c.closeStreams()
		return nil, fmt.Errorf("cannot start %s: %w", p.path, err)
	}
	go c.reap()
	return c, nil
}

// mayEnter reports whether dir is a directory that lets user in; a command whose
// home does not starts in the root directory.
func mayEnter(user passwd.User, dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat := info.Sys().(*syscall.Stat_t)
	switch {
	case user.UID == 0:
		return true
	case stat.Uid == user.UID:
		return stat.Mode&unix.S_IXUSR != 0
	case stat.Gid == user.GID || slices.Contains(user.Groups, stat.Gid):
		return stat.Mode&unix.S_IXGRP != 0
	}
	return stat.Mode&unix.S_IXOTH != 0
}

// openStreams gives the command its streams and returns the child's ends.
func (c *command) openStreams(user passwd.User, tty *ttyRequest) (theirs []*os.File, err error) {
	if tty != nil {
		master, slave, err := tty.open(user)
		if err != nil {
			return nil, err
		}
		c.isTTY, c.stdin, c.stdout = true, master, master
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
		c.cmd.SysProcAttr.Setctty = true
		c.cmd.Env = append(c.cmd.Env, "SSH_TTY="+slave.Name())
		return []*os.File{slave}, nil
	}
	in, stdin, err1 := os.Pipe()
	stdout, out, err2 := os.Pipe()
	stderr, errOut, err3 := os.Pipe()
	c.stdin, c.stdout, c.stderr = stdin, stdout, stderr
	theirs = []*os.File{in, out, errOut}
	if err := errors.Join(err1, err2, err3); err != nil {
		return theirs, err
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = in, out, errOut
	return theirs, nil
}

func (c *command) closeStreams() {
	for _, f := range []*os.File{c.stdin, c.stdout, c.stderr} {
		f.Close() // nil and twice are fine
	}
}

// reap waits for the program. It continues if the program ignores the hang-up of
// its client, so that it becomes no zombie; nobody waits for it then.
func (c *command) reap() {
	defer close(c.exited)
	for {
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.cmd.Wait() // an exit status that is not 0 is not a failure of ours
	c.reaped = true
}

// run passes the streams on until the command has ended, then notifies the client
// how, after the last byte, and closes the channel. It returns early when closed is.
func (c *command) run(channel ssh.Channel, closed <-chan struct{}) {
	defer c.closeStreams()
	var outputs, input sync.WaitGroup
	input.Go(func() { c.feed(channel) })
	outputs.Go(func() { relay(channel, c.stdout) })
	if c.stderr != nil {
		outputs.Go(func() { relay(channel.Stderr(), c.stderr) })
	}
	select {
	case <-c.exited:
		deadline := time.Now().Add(lingerTime)
		_ = c.stdout.SetReadDeadline(deadline)
		if c.stderr != nil {
			_ = c.stderr.SetReadDeadline(deadline)
		}
		outputs.Wait()
		sendExit(channel, c.cmd.ProcessState.Sys().(syscall.WaitStatus))
		<-closed // the client answers our close with its own
	case <-closed:
	}
	c.closeStreams() // ends what is left of the relays
	outputs.Wait()
	input.Wait()
}

// feed passes the client's bytes to the command, and the end of them as a real
// end-of-file.
func (c *command) feed(channel io.Reader) {
	if _, err := io.Copy(c.stdin, channel); err != nil {
		return // the command does not read any more
	}
	if c.isTTY {
		sendEOF(c.stdin)
		return
	}
	c.stdin.Close()
}

// hangUp notifies the command, once, that its client has gone.
func (c *command) hangUp() {
	if c != nil {
		c.hangUpOnce.Do(func() { c.signal(syscall.SIGHUP) })
	}
}

// signal sends a signal to the command's process group and reports whether it
// could.
func (c *command) signal(signal syscall.Signal) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.reaped && syscall.Kill(-c.cmd.Process.Pid, signal) == nil
}

// resize changes the size of the pseudo-terminal; the kernel sends SIGWINCH.
func (c *command) resize(size windowSize) error {
	if c == nil {
		return nil
	}
	return pty.Setsize(c.stdout, size.winsize())
}
