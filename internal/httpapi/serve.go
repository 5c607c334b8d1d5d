package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a server.
const (
	headerTimeout = 10 * time.Second
	// stopTimeout is for calls that do not end with their context at once.
	stopTimeout = 5 * time.Second
)

// Serve serves h on l until ctx ends, then breaks off what is under way and
// returns when every call has ended. It closes l.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var calls gate
	server := &http.Server{
		Handler:           calls.count(h),
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       new(order).note,
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ctx, end := context.WithCancel(ctx)
	var served error
	var serving sync.WaitGroup
	serving.Go(func() {
		defer end()
		served = server.Serve(l)
	})
	<-ctx.Done()
	stop(errStopping)
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(limit)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	serving.Wait()
	calls.closeAndWait()
	if !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}

// gate counts the calls under way, which http.Server.Close does not wait for.
type gate struct {
	mu     sync.Mutex // guards closed and that no call begins after it is set
	closed bool
	calls  sync.WaitGroup
}

func (g *gate) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			panic(http.ErrAbortHandler)
		}
		g.calls.Add(1)
		g.mu.Unlock()
		defer g.calls.Done()
		if v := visitOf(r.Context()); v != nil {
			v.requests++
		}
		h.ServeHTTP(w, r)
	})
}

func (g *gate) closeAndWait() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.calls.Wait()
}
