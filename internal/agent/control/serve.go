// Package control is the guest's end of a link: it starts sessions, reports how
// they go, and reads their logs, over the protocol of package guestrpc. It owns
// nothing that lives: a session belongs to its shim, and everything else is on
// the disk. So a control server may be killed at any moment, and two may run at
// once while an old link dies.
package control

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/agent/passwd"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/keylock"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// Config says where things lie in this guest.
type Config struct {
	SessionsDir string // absolute; made when the first session is
	ShimPath    string // banger-shim
	CgroupRoot  string // a cgroup (v2) for those of the sessions, or "" if there is none
	Version     string // of this build
	OwnsClock   bool   // the daemon may set this machine's clock
	// MachineID is that of this host, where others may share SessionsDir with it; see package
	// hostid. Their sessions are not known here, and left alone.
	MachineID string
	// Login is the environment of the login to a remote host, as environ(7) has
	// it; nil in a guest of ours. Sessions of its user get it.
	Login []string
	// PowerOff begins to shut this guest down; nil where it is not ours to do so.
	PowerOff func() error
	Logger   *slog.Logger
}

// server is one control server.
type server struct {
	Config
	ctx     context.Context // ends with the server
	standby *standby
	bootID  string
	users   passwd.DB
	rpc     *jrpc2.Server
	wire    *guestrpc.Channel // of rpc
	logs    *logWatcher
	tasks   sync.WaitGroup
	claims  keylock.Locks[banger.SessionID] // each is held while its session is launched, taken in or removed
	// firstList is closed, by listed, when the first list has been answered to its end.
	firstList chan struct{}
	listed    func()
	turn      chan struct{} // has an element while a shim may be woken; see watchInTurn

	mu       sync.Mutex                    // guards the fields below
	greeted  bool                          // the hello was answered: changes are pushed
	sessions map[banger.SessionID]*session // those that have not ended, and that were launched or asked about here
	names    []banger.SessionID            // of all on the disk, between the pages of a list
}

// Serve answers the requests that come on in until it ends or ctx does, and
// returns when nothing of the server is left; a launch that has begun is
// finished first. The sessions continue. If in is an io.Closer, it is closed when
// ctx ends, which must unblock its Read.
func Serve(ctx context.Context, cfg Config, in io.Reader, out io.Writer) error {
	serving, cancel := context.WithCancel(ctx)
	defer cancel()
	bootID, err := process.BootID()
	if err != nil {
		return err
	}
	logs, err := newLogWatcher()
	if err != nil {
		return err
	}
	defer logs.close()
	s := &server{
		Config: cfg, ctx: serving, standby: newStandby(cfg.ShimPath), bootID: bootID, users: passwd.System(), logs: logs,
		wire:      guestrpc.NewChannel(in, writeCloser{out}),
		firstList: make(chan struct{}), turn: make(chan struct{}, 1), sessions: map[banger.SessionID]*session{},
	}
	s.turn <- struct{}{}
	s.listed = sync.OnceFunc(func() { close(s.firstList) })
	s.rpc = jrpc2.NewServer(s.methods(), &jrpc2.ServerOptions{
		AllowPush:      true,
		DisableBuiltin: true, // rpc.cancel is among our methods
		Concurrency:    math.MaxInt32,
		NewContext:     func() context.Context { return serving },
	})
	defer s.standby.shim.close() // when no launch is left that could want it
	defer s.excludeFromAging()()
	s.tasks.Go(s.sweep)
	s.tasks.Go(func() { s.standby.run(serving) })
	s.rpc.Start(s.wire)
	stop := context.AfterFunc(ctx, func() {
		// The end of in is the gentle way: Stop panics if a message comes in at
		// the same moment.
		if c, ok := in.(io.Closer); ok {
			c.Close()
		} else {
			s.rpc.Stop()
		}
	})
	err = s.rpc.Wait()
	stop()
	cancel()
	s.tasks.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot serve control requests: %w", err)
	}
	return nil
}

// writeCloser closes nothing when the server stops: out belongs to the caller.
type writeCloser struct{ io.Writer }

// Close implements io.Closer.
func (writeCloser) Close() error { return nil }

// sweep removes what was not finished.
func (s *server) sweep() {
	if err := sessiondir.Sweep(s.SessionsDir); err != nil {
		s.Logger.Warn("cannot clean up", "cause", err)
	}
}

// greet makes the server push changes from now on.
func (s *server) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeted = true
}

// push reports a change. When the link is down there is nobody to report it to: the next
// one begins with a list.
func (s *server) push(report guestapi.GuestSession) (reported bool) {
	s.mu.Lock()
	greeted := s.greeted
	s.mu.Unlock()
	return greeted && s.rpc.Notify(s.ctx, guestrpc.NotifyChanged, report) == nil
}
