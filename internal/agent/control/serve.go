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

	"banger/internal/guestrpc"
	"banger/internal/process"
	"banger/internal/sessiondir"
)

// Config says where things lie in this guest.
type Config struct {
	SessionsDir string // absolute; made when the first session is
	ShimPath    string // banger-shim
	CgroupRoot  string // a cgroup (v2) for those of the sessions, or "" if there is none
	// ShimCgroup is the cgroup in which shims are started, or "" for the one of this process.
	ShimCgroup string
	Version    string // of this build
	OwnsClock  bool   // the daemon may set this machine's clock
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
	tasks := &tasks{ctx: serving}
	standby := newStandby(cfg.ShimPath, cfg.ShimCgroup)
	wire := guestrpc.NewChannel(in, writeCloser{out})
	s := newServer(cfg, bootID, tasks, standby, logs, wire)
	rpc := jrpc2.NewServer(s.methods(), &jrpc2.ServerOptions{
		AllowPush:      true,
		DisableBuiltin: true, // rpc.cancel is among our methods
		Concurrency:    math.MaxInt32,
		NewContext:     func() context.Context { return serving },
	})
	defer standby.shim.close() // when no launch is left that could want it
	defer excludeFromAging(cfg.SessionsDir, cfg.ShimPath)()
	tasks.work.Go(func() { sweep(cfg.SessionsDir, cfg.Logger) })
	tasks.work.Go(func() { standby.run(serving) })
	rpc.Start(wire)
	stop := context.AfterFunc(ctx, func() {
		// The end of in is the gentle way: Stop panics if a message comes in at
		// the same moment.
		if c, ok := in.(io.Closer); ok {
			c.Close()
		} else {
			rpc.Stop()
		}
	})
	err = rpc.Wait()
	stop()
	cancel()
	tasks.work.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot serve control requests: %w", err)
	}
	return nil
}

// tasks are what continues when the request that began it has been answered.
type tasks struct {
	ctx  context.Context // ends with the server
	work sync.WaitGroup
}

// writeCloser closes nothing when the server stops: out belongs to the caller.
type writeCloser struct{ io.Writer }

// Close implements io.Closer.
func (writeCloser) Close() error { return nil }

// sweep removes what was not finished.
func sweep(sessionsDir string, log *slog.Logger) {
	if err := sessiondir.Sweep(sessionsDir); err != nil {
		log.Warn("cannot clean up", "cause", err)
	}
}
