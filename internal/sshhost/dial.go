package sshhost

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
)

// maxHops bounds how many hosts a connection may go through, the last one included.
const maxHops = 8

// connectTimeout bounds a connection that is made directly. What a configuration has, ends
// it earlier.
const connectTimeout = 30 * time.Second

var errConnectTimeout = errors.New("the configured ConnectTimeout is over")

// Dialer reaches hosts. The zero value does it as ssh does without options. It may be
// used by several goroutines at once.
type Dialer struct {
	Home        string // what ~ and %d stand for; "" for the home of the password file, as ssh has it
	ConfigFile  string // as ssh -F: the only configuration; "" for the user's and the system's
	AgentSocket string // in place of $SSH_AUTH_SOCK
}

func (d *Dialer) defaultAgent() string {
	if d.AgentSocket != "" {
		return d.AgentSocket
	}
	return os.Getenv("SSH_AUTH_SOCK")
}

// Dial connects and logs in, through other hosts if the configuration says so. ctx
// bounds that, and nothing afterwards: closing the client ends all that belongs to
// it. What needs an answer of the user fails with a [QuestionError]; other errors
// are a *banger.Error.
func (d *Dialer) Dial(ctx context.Context, t Target, a Answers) (*ssh.Client, error) {
	dialer := *d
	if a.AgentSocket != "" {
		dialer.AgentSocket = a.AgentSocket
	}
	return (&route{dialer: &dialer, answers: a}).dial(ctx, t, nil)
}

// route is one Dial.
type route struct {
	dialer  *Dialer
	answers Answers
	hops    int
}

// dial reaches one host, through others if via is given, else as its configuration says.
func (w *route) dial(ctx context.Context, t Target, via []Target) (*ssh.Client, error) {
	if w.hops++; w.hops > maxHops {
		return nil, banger.Errorf(banger.CodeInvalid, "cannot reach SSH host %s: more than %d hosts in a row", t, maxHops).
			WithHint("ProxyJump may lead back to the same host; add a Host block for it with ProxyJump none")
	}
	r, err := w.dialer.Resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	if len(via) > 0 {
		r.ProxyJump, r.ProxyCommand = via, ""
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keySeen := func() {}
	if r.ConnectTimeout > 0 {
		timer := time.AfterFunc(r.ConnectTimeout, func() { cancel(errConnectTimeout) })
		defer timer.Stop()
		keySeen = func() { timer.Stop() }
	}
	banger.Step(ctx, "connecting to "+r.destination())
	conn, err := w.connect(ctx, r)
	if err != nil {
		return nil, err
	}
	banger.Step(ctx, "waiting for the SSH server at "+r.destination())
	return w.logIn(ctx, conn, r, keySeen)
}

// connect opens the connection on which SSH is spoken with the host.
func (w *route) connect(ctx context.Context, r *Resolved) (net.Conn, error) {
	switch last := len(r.ProxyJump) - 1; {
	case last >= 0:
		jump, err := w.dial(ctx, r.ProxyJump[last], r.ProxyJump[:last])
		if err != nil {
			return nil, err
		}
		conn, err := jump.DialContext(ctx, "tcp", r.Address())
		if err != nil {
			jump.Close()
			return nil, r.unreachable(ctx, fmt.Errorf("through %s: %w", r.ProxyJump[last], saidError{err}), "")
		}
		return &jumpConn{conn, jump}, nil
	case r.ProxyCommand != "":
		conn, err := startProxy(r.ProxyCommand)
		if err != nil {
			return nil, r.unreachable(ctx, err, "connecting: ")
		}
		return conn, nil
	}
	dialer := net.Dialer{Timeout: connectTimeout}
	if r.bindAddress != "" {
		local, err := net.ResolveTCPAddr(r.network, net.JoinHostPort(r.bindAddress, "0"))
		if err != nil {
			return nil, banger.Errorf(banger.CodeInvalid, "cannot use BindAddress of SSH host %s: %w", r.Target, err)
		}
		dialer.LocalAddr = local
	}
	conn, err := dialer.DialContext(ctx, r.network, r.Address())
	if err != nil {
		return nil, r.unreachable(ctx, err, "connecting: ")
	}
	return conn, nil
}

// destination is where the host is, in words for its user.
func (r *Resolved) destination() string {
	if r.HostName == r.Target.Host && (r.Target.Port == r.Port || r.Target.Port == 0 && r.Port == defaultPort) {
		return r.Target.String()
	}
	return r.Target.String() + " at " + r.Address()
}

// unreachable is the error of a host with which there is no connection. If the time is up,
// it names the step that took it.
func (r *Resolved) unreachable(ctx context.Context, err error, step string) error {
	if ctx.Err() != nil {
		err = fmt.Errorf("%s%w", step, context.Cause(ctx))
	}
	to := ""
	if r.Address() != r.Target.String() {
		to = " at " + r.Address()
	}
	return banger.Errorf(banger.CodeUnavailable, "cannot reach SSH host %s%s: %w", r.Target, to, err).
		WithHint("see whether your ssh reaches it: %s", r.Target.Command("ssh", "-v"))
}

// logIn makes an SSH connection out of conn, which it closes if it cannot.
func (w *route) logIn(ctx context.Context, conn net.Conn, r *Resolved, keySeen func()) (*ssh.Client, error) {
	hostKeys := newHostKeys(r, w.answers)
	var step atomic.Value // of the handshake, for an error
	step.Store("waiting for the SSH server")
	watched := &watchedConn{Conn: conn}
	auth := &authentication{ctx: ctx, host: r, answers: w.answers, broken: watched.broken}
	defer auth.end()
	config := &ssh.ClientConfig{
		Config: ssh.Config{
			Ciphers: r.algorithms.Ciphers, MACs: r.algorithms.MACs, KeyExchanges: r.algorithms.KeyExchanges,
		},
		User:              r.User,
		HostKeyAlgorithms: hostKeys.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			keySeen()
			banger.Step(ctx, "logging in to "+r.destination()+" as "+r.User)
			step.Store("authenticating as " + r.User)
			return hostKeys.check(key)
		},
		AuthCallback: auth.next,
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(watched, r.Address(), config)
	if !stop() && err == nil {
		c.Close()
		err = context.Cause(ctx)
	}
	if err == nil {
		return ssh.NewClient(c, channels, requests), nil
	}
	conn.Close()
	err = saidError{err}
	switch {
	case hostKeys.refusal != nil:
		return nil, hostKeys.refusal
	case ctx.Err() == nil && (errors.Is(err, errNoKeyLeft) || strings.Contains(err.Error(), tooManyFailures)):
		return nil, auth.failure(err)
	}
	if tried := auth.tried(); len(tried) > 0 {
		err = fmt.Errorf("%w, after it was offered %s", err, strings.Join(tried, "; "))
	}
	if p, ok := conn.(*proxyConn); ok {
		if said := p.complaint(); said != "" {
			err = fmt.Errorf("%w; ProxyCommand says: %s", err, said)
		}
	}
	return nil, r.unreachable(ctx, err, step.Load().(string)+": ")
}

// watchedConn remembers why nothing more can be read. x/crypto would continue to offer
// keys on a connection that is lost, and then say that none was accepted.
type watchedConn struct {
	net.Conn
	mu  sync.Mutex // guards err
	err error
}

// Read implements net.Conn.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
	return n, err
}

func (c *watchedConn) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
