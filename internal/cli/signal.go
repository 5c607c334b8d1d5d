package cli

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// signalError is the cause of a context that a signal to this process ended.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "ended by signal: " + e.signal.String() }

// signals are those that end this process, unless a command has another use for
// them.
type signals struct {
	mu    sync.Mutex // guards taker
	taker func(syscall.Signal) (taken bool)
}

type signalsKey struct{}

// WithSignals returns a context that SIGINT, SIGTERM or SIGHUP ends. The second one
// has its ordinary effect again. stop gives up the signals and waits for the
// goroutine.
func WithSignals(parent context.Context) (ctx context.Context, stop func()) {
	s := &signals{}
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, signalsKey{}, s))
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case sig := <-caught:
				if s.take(sig.(syscall.Signal)) {
					continue
				}
				signal.Stop(caught)
				cancel(signalError{sig.(syscall.Signal)})
			case <-ctx.Done():
			}
			return
		}
	}()
	return ctx, func() {
		signal.Stop(caught)
		cancel(nil)
		<-done
	}
}

func (s *signals) take(sig syscall.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taker != nil && s.taker(sig)
}

// takeSignals hands the signals of WithSignals to taker, which must be quick, and
// ends the context only with those that it does not take. giveBack undoes that.
func takeSignals(ctx context.Context, taker func(syscall.Signal) (taken bool)) (giveBack func()) {
	s, ok := ctx.Value(signalsKey{}).(*signals)
	if !ok {
		return func() {}
	}
	set := func(f func(syscall.Signal) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.taker = f
	}
	set(taker)
	return func() { set(nil) }
}

// stopUntilContinued stops this process as SIGTSTP does by default, and returns when it is
// continued. Go keeps its handler of SIGTSTP after signal.Stop, so it is SIGSTOP, which has
// none. Sent to this thread, it takes effect before the call returns; tgkill(2).
func stopUntilContinued() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}

// watch calls handle with each of some signals, one at a time, until stop.
func watch(handle func(syscall.Signal), which ...os.Signal) (stop func()) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, which...)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s := <-caught:
				handle(s.(syscall.Signal))
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(caught)
		close(quit)
		<-done
	}
}
