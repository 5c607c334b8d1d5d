package guest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/vmm"
)

// Time limits of a link. They are generous, since an emulated guest under load
// is slow, and short enough that a frozen guest is noticed.
const (
	handshakeTimeout  = 30 * time.Second // to log in; and then to start the control process
	keepaliveInterval = 30 * time.Second
	keepaliveTimeout  = 30 * time.Second
	closeTimeout      = 5 * time.Second // for a control process to end
	recordTimeout     = 10 * time.Second
	minBackoff        = 50 * time.Millisecond
	maxBackoff        = 5 * time.Second
	maxFlapBackoff    = 250 * time.Millisecond // after a link that had been up
)

// errNoLogin says why a login was given up.
var errNoLogin = fmt.Errorf("we were not let in within %s", handshakeTimeout)

// link is the connection to one guest, through all its reconnects.
type link struct {
	access  vmm.GuestAccess
	handler guestapi.GuestHandler
	dialer  vmm.Dialer // of a guest of ours, with its host key
	hostKey ssh.PublicKey
	signer  ssh.Signer
	budget  *guestbudget.Budget
	turns   turns // of all links
	log     *slog.Logger
	said    stderrLog     // of the control process that runs
	checks  chan struct{} // has an element while a sign of life is wanted at once

	// Each has an element while the link is to be tried again: for any reason, and if it
	// is a host that could not be reached.
	reason, hurry chan struct{}

	mu      sync.Mutex // guards the fields below
	control *control   // nil while the link is down
	down    error      // why it is down
	resting error      // the refusal after which nothing is tried now
	// fingerprint is of what the login depended on that was tried last.
	fingerprint string
	closed      bool          // it will not come up again
	changed     chan struct{} // closed and replaced at each change of the above
}

// run dials and serves until ctx or the machine ends.
func (k *link) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	watch.Go(func() {
		select {
		case <-k.access.Machine.Done():
			cancel(vmm.ErrMachineGone)
		case <-ctx.Done():
		}
	})
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = minBackoff, maxBackoff
	if _, ok := k.access.Machine.(Host); ok {
		wait.MaxInterval = guestbudget.UnreachablePause
	}
	for {
		began := time.Now()
		wasUp, err := k.connect(ctx)
		err = bounded(err)
		if wasUp || errors.Is(err, vmm.ErrLoginRefused) {
			drain(k.hurry) // who was in a hurry has had it
		}
		k.publish(nil, err)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if downErr := k.handler.GuestDown(ctx, err); downErr != nil {
			k.log.Warn("cannot record that the link is down", "cause", downErr)
		}
		// What a guest has ended by nonsense it gets back as late as what does not answer.
		broken := wasUp && !isNonsense(err)
		if broken && time.Since(began) > maxBackoff {
			wait.Reset()
		}
		pause := wait.NextBackOff()
		if broken {
			pause = min(pause, maxFlapBackoff)
		}
		k.log.Info("link is down", "cause", err, "retry_in", pause, "refused", errors.Is(err, vmm.ErrLoginRefused))
		k.rest(ctx, pause, err)
		k.setOut()
	}
}

// connect makes the connection and serves it until it breaks. It reports
// whether the link was up in between.
func (k *link) connect(ctx context.Context) (wasUp bool, err error) {
	if err := k.access.Machine.WaitReady(ctx); err != nil {
		return false, fmt.Errorf("cannot wait for the guest: %w", err)
	}
	client, err := k.dial(ctx)
	if err != nil {
		return false, err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	commands, err := k.install(ctx, client)
	if err != nil {
		return false, err
	}

	// A control process that dies is started again on the same connection, since
	// the handshake is the expensive part; one that dies at once is not.
	for {
		began := time.Now()
		up, end := k.serve(ctx, client, commands)
		wasUp, err = wasUp || up, end
		if !errors.Is(err, errControlEnded) || isNonsense(err) || time.Since(began) < time.Second {
			break
		}
		k.log.Info("control has ended", "cause", err)
	}
	client.Close()
	<-client.ended
	if errors.Is(err, errControlEnded) {
		err = fmt.Errorf("%w: %w", err, client.cause)
	}
	return wasUp, err
}

// dial opens an authenticated connection: the guest's host key is pinned.
func (k *link) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout, errNoLogin)
	defer cancel()
	if host, ok := k.access.Machine.(Host); ok {
		fingerprint := host.Fingerprint() // before: a change meanwhile is one
		k.mu.Lock()
		k.fingerprint = fingerprint
		k.mu.Unlock()
		client, err := host.Login(ctx)
		if err != nil {
			return nil, fmt.Errorf("cannot log in to the host: %w", asRefusal(err))
		}
		return newConnection(client), nil
	}
	conn, err := k.dialer.Dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot dial guest: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	config := &ssh.ClientConfig{
		User:              k.access.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(k.signer)},
		HostKeyCallback:   ssh.FixedHostKey(k.hostKey),
		HostKeyAlgorithms: []string{k.hostKey.Type()},
	}
	if k.access.Machine.Info().Emulated() {
		// GHASH, of the GCM ciphers that are preferred otherwise, needs a carry-less
		// multiplication. QEMU does that bit by bit, so that AES-GCM takes several times
		// as long as ChaCha20-Poly1305.
		config.Ciphers = []string{ssh.CipherChaCha20Poly1305}
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "guest", config)
	if !stop() && err == nil {
		c.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot log in to guest: %w", err)
	}
	return newConnection(ssh.NewClient(c, channels, requests)), nil
}

// serve starts the guest's control process on client, reconciles, and hands the
// guest to users until the process or the connection ends. It reports whether
// they got it.
func (k *link) serve(ctx context.Context, client *connection, commands *vmm.AgentCommands) (up bool, err error) {
	c, hello, err := k.greet(ctx, client, commands)
	if err != nil {
		return false, err
	}
	alive, endWatch := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { k.keepAlive(alive, c) })
	up, err = k.use(ctx, c, hello)
	k.publish(nil, err) // before the end is waited for: nobody shall get it any more
	endWatch()
	watch.Wait()
	c.close()
	if up {
		// What the guest reported before its end counts, also if ctx was what ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		if lost := c.flush(ctx, k.handler); lost != nil {
			k.log.Warn("last changes are not recorded", "cause", lost)
		}
	}
	c.changes.close()
	return up, err
}

// greet starts the control process, checks that both ends understand each other, and
// sees to the guest's clock. From its answer on, changes are kept for use.
func (k *link) greet(ctx context.Context, client *connection, commands *vmm.AgentCommands) (*control, guestapi.GuestHello, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, handshakeTimeout, errNoGreeting)
	defer cancel()
	c, err := k.openControl(ctx, client, commands)
	if ctx.Err() != nil && err != nil && commands != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err) // what the login said instead
	} else if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, guestapi.GuestHello{}, err
	}
	hello, err := c.hello(ctx)
	if err == nil && hello.Protocol != guestapi.GuestProtocol {
		err = banger.Errorf(banger.CodeMismatch, "cannot use the guest: its agent speaks protocol %d, this daemon %d",
			hello.Protocol, guestapi.GuestProtocol).WithHint("restart the VM, which gives it this daemon's agent")
	}
	if err != nil {
		c.close()
		return nil, hello, err
	}
	c.loginShells, c.copies = hello.LoginShells, hello.Copies
	k.setClock(ctx, c, hello)
	return c, hello, nil
}

// use reconciles and then follows the guest.
func (k *link) use(ctx context.Context, c *control, hello guestapi.GuestHello) (up bool, err error) {
	if err := k.handler.GuestUp(ctx, hello, c); err != nil {
		if c.hasEnded() && c.cause != nil {
			err = fmt.Errorf("%w: %w", err, c.cause)
		}
		return false, fmt.Errorf("cannot reconcile sessions: %w", err)
	}
	k.publish(c, nil)
	k.log.Info("link is up", "boot_id", hello.BootID, "agent", hello.Version, "cipher", cipherOf(c.client.Conn))
	return true, c.deliver(ctx, k.handler)
}

// cipherOf is the cipher of what a connection sends.
func cipherOf(conn ssh.Conn) string {
	if c, ok := conn.(ssh.AlgorithmsConnMetadata); ok {
		return c.Algorithms().Write.Cipher
	}
	return ""
}

// publish notifies users that the link is up with control c, or down because of err.
func (k *link) publish(c *control, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.control, k.down, k.resting = c, err, nil
	if errors.Is(err, vmm.ErrLoginRefused) {
		k.resting = err
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// setOut reports that the link is tried again.
func (k *link) setOut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.resting = nil
}

// drain takes what is in a channel with room for one.
func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// close notifies users that the link will not come up again.
func (k *link) close(why error) {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.publish(nil, why)
}

// wait returns the control process as soon as the link is up.
func (k *link) wait(ctx context.Context) (guestapi.Guest, error) {
	k.wanted()
	for {
		k.mu.Lock()
		c, down, closed, changed := k.control, k.down, k.closed, k.changed
		k.mu.Unlock()
		switch {
		case c != nil && !c.hasEnded() && ctx.Err() == nil:
			return c, nil
		case closed:
			return nil, down
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := context.Cause(ctx)
			if down != nil {
				err = fmt.Errorf("%w; the link is down: %w", err, down)
			}
			return nil, banger.Errorf(banger.CodeUnavailable, "cannot reach the guest: %w", err)
		}
	}
}

// keepAlive asks the guest's control process for a sign of life now and then, and
// closes the connection when none comes in time: so neither a connection nor a
// process that hangs is waited for.
func (k *link) keepAlive(ctx context.Context, c *control) {
	tick := time.NewTicker(keepaliveInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-k.checks:
		}
		overdue := time.AfterFunc(keepaliveTimeout, func() {
			k.log.Warn("guest does not answer", "for", keepaliveTimeout)
			c.client.Close()
		})
		hello, err := c.hello(ctx)
		if err == nil {
			k.setClock(ctx, c, hello)
		}
		overdue.Stop()
		if c.hasEnded() {
			return
		}
		if err != nil {
			c.client.Close()
			return
		}
	}
}
