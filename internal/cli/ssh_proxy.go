package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"banger/internal/sshconfig"
)

func (c *CLI) sshProxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "ssh-proxy HOST",
		Short:             "Connect an ssh to the VM of a host name; for ProxyCommand in ssh_config(5)",
		Hidden:            true,
		Args:              argumentNames("HOST"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := parseSSHName(args[0])
		if err != nil {
			return err
		}
		in, isFile := c.Stdin.(*os.File)
		out := outputFile(c.Stdout)
		if !isFile || out == nil || isTerminal(out) {
			return usagef("this command is for ssh, which runs it: ssh NAME%s", sshconfig.Suffix)
		}
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		// ssh ends its proxy by a signal, and ctrl-c on its terminal reaches both.
		defer takeSignals(ctx, func(syscall.Signal) bool { cancel(); return true })()
		p := &sshProxy{in: in, out: out}
		err = p.run(ctx, func(ctx context.Context) (net.Conn, error) { return c.dialSSH(ctx, name) })
		if ctx.Err() != nil || errors.Is(err, errClientGone) {
			return nil // nobody is left to hear of it
		}
		return err
	}
	return cmd
}

// outputFile returns the file that our standard output is, nil if it is none.
func outputFile(w io.Writer) *os.File {
	if f, ok := w.(*firstFailure); ok {
		w = f.to
	}
	if file := terminalFile(w); file != nil {
		return file
	}
	file, _ := w.(*os.File)
	return file
}

// sshProxy carries bytes between a client, which is at the other end of in and out, and a
// server. It ends with either.
type sshProxy struct{ in, out *os.File }

// errClientGone is the cause of the end of a proxy whose client has ended.
var errClientGone = errors.New("the ssh client has gone")

// lastWords is how long the server may still answer when the client has said all.
const lastWords = time.Second

// run connects and carries, until the server has closed the connection, the client has
// closed its end, or ctx ends.
func (p *sshProxy) run(ctx context.Context, dial func(context.Context) (net.Conn, error)) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	conn, err := p.connect(ctx, end, dial)
	if err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	w, err := newWaker()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer w.close()
	var carrying sync.WaitGroup
	carrying.Go(func() { p.watch(w, end, unix.PollFd{Fd: int32(p.out.Fd())}) })
	carrying.Go(func() {
		p.feed(w, conn)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_ = conn.SetReadDeadline(time.Now().Add(lastWords))
	})
	_, err = io.Copy(p.out, conn)
	w.wake()
	conn.Close()
	carrying.Wait()
	if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection to the VM has ended: %w", err)
	}
	return context.Cause(ctx)
}

// connect dials for as long as there is a client: a VM may take its time to start.
func (p *sshProxy) connect(ctx context.Context, end context.CancelCauseFunc, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	w, err := newWaker()
	if err != nil {
		return nil, err
	}
	defer w.close()
	var watching sync.WaitGroup
	defer watching.Wait()
	defer w.wake()
	watching.Go(func() {
		p.watch(w, end, unix.PollFd{Fd: int32(p.in.Fd()), Events: unix.POLLRDHUP}, unix.PollFd{Fd: int32(p.out.Fd())})
	})
	return dial(ctx)
}

// watch calls end when the other end of one of these has been closed, and returns when it has
// or when it is woken; poll(2). Bytes that have not been read do not hide the end.
func (p *sshProxy) watch(w *waker, end context.CancelCauseFunc, ends ...unix.PollFd) {
	for !w.poll(ends) {
		for _, e := range ends {
			if e.Revents != 0 {
				end(errClientGone)
				return
			}
		}
	}
}

// feed passes on what the client sends, until it has sent all or is woken.
func (p *sshProxy) feed(w *waker, to io.Writer) {
	buf := make([]byte, 64<<10)
	for in := []unix.PollFd{{Fd: int32(p.in.Fd()), Events: unix.POLLIN}}; !w.poll(in); {
		n, err := p.in.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
