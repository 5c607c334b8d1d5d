package control

import (
	"context"
	"log/slog"
	"time"

	"banger"
	"banger/internal/agent/shimclient"
	"banger/internal/process"
)

// Between two attempts to reach a shim that lives but cannot be reached: it has
// just been started, or is about to end.
const (
	minRetry = time.Millisecond
	maxRetry = time.Second
)

// watcher follows what becomes of sessions. Safe for concurrent use.
type watcher struct {
	settler *settler
	turns   *turns
	tasks   *tasks
	log     *slog.Logger
}

// watch follows a session until it has ended or the server ends. It calls known when its
// shim has reported the state, or cannot, and perhaps again.
func (w *watcher) watch(x *session, known func()) {
	retry, reached := minRetry, false
	defer known()
	for !x.ended() {
		conn, err := shimclient.Dial(w.tasks.ctx, x.dir)
		if err == nil {
			retry, reached = minRetry, true
			err = conn.Watch(w.tasks.ctx, func(state banger.SessionState) {
				known()
				x.update(state)
			})
		}
		known()
		if x.ended() || w.tasks.ctx.Err() != nil || w.settler.settle(x, reached) {
			return
		}
		w.log.Debug("cannot watch session", "session", x.id, "cause", err)
		select {
		case <-w.tasks.ctx.Done():
			return
		case <-time.After(retry):
		}
		retry = min(2*retry, maxRetry)
	}
}

// watchInTurn is watch for a session that was found on the disk, and whose command is
// process: its shim has nothing to do and would be woken, so it waits for its turn. One
// that somebody asks for, or whose command ends, is not behind the others.
func (w *watcher) watchInTurn(x *session, command process.Identity) {
	waiting, done := context.WithCancel(w.tasks.ctx)
	defer done()
	ended := make(chan struct{})
	w.tasks.work.Go(func() {
		if command.AwaitEnd(waiting) == nil {
			close(ended)
		}
	})
	known, err := w.turns.await(w.tasks.ctx, x.wanted, ended)
	if err != nil {
		return
	}
	done()
	w.watch(x, known)
}
