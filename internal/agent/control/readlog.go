package control

import (
	"context"
	"os"
	"path/filepath"

	"banger"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/internal/sessiondir"
)

// logReader reads the output of sessions, and waits for it.
type logReader struct {
	registry *registry
	watcher  *logWatcher
	wire     *guestrpc.Channel // takes the output beside the answers
	bootID   string
}

// sendLog answers with one page of a session's output.
func (l *logReader) sendLog(ctx context.Context, r guestrpc.LogRead) (guestrpc.LogPage, error) {
	page, err := l.readLog(ctx, r.GuestLogRead)
	if err != nil {
		return guestrpc.LogPage{}, err
	}
	answer, blob := guestrpc.SplitPage(page)
	if len(blob) > 0 {
		err = l.wire.SendBlob(r.Blob, blob)
	}
	return answer, err
}

// readLog returns one page of a session's output. The end of the session is
// looked at before the page is read: so when it is reported, the page has the last
// byte.
func (l *logReader) readLog(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	if r.MaxBytes < 1 || r.MaxBytes > guestapi.MaxLogPageBytes {
		return guestapi.GuestLogPage{}, banger.Errorf(banger.CodeInvalid, "cannot read log: a page has 1 to %d bytes, not %d", guestapi.MaxLogPageBytes, r.MaxBytes)
	}
	x, err := l.registry.find(r.ID)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page, err := l.readPage(ctx, x, r)
	if err != nil || !r.Wait || len(page.Chunks) > 0 || page.Ended {
		return page, err
	}
	r.Tail, r.Since, r.Cursor = nil, nil, page.Begin
	return l.awaitPage(ctx, x, r)
}

// awaitPage returns the first page that is not empty, or the end.
func (l *logReader) awaitPage(ctx context.Context, x *session, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	var written <-chan struct{}
	for {
		// The journal is written after the logs. Before the session runs it does
		// not exist; the change to running wakes.
		_, changed := x.current()
		if written == nil {
			ch, stop, err := l.watcher.watch(filepath.Join(x.dir, sessiondir.JournalName))
			if err == nil {
				written = ch
				defer stop()
			} else if state, _ := x.current(); state.Status != banger.StatusStarting && !state.Status.Ended() {
				return guestapi.GuestLogPage{}, err
			}
		}
		page, err := l.readPage(ctx, x, r)
		if err != nil || len(page.Chunks) > 0 || page.Ended {
			return page, err
		}
		select {
		case <-ctx.Done():
			return guestapi.GuestLogPage{}, context.Cause(ctx)
		case <-changed:
		case <-written:
		}
	}
}

// readPage reads what has its time and place, and after the end all there is.
func (l *logReader) readPage(ctx context.Context, x *session, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	ended := x.ended()
	reader := sessiondir.NewLiveReader(os.DirFS(x.dir))
	if ended {
		reader = sessiondir.NewReader(os.DirFS(x.dir)).InBoot(l.bootID)
	}
	page, err := reader.GuestPage(ctx, r)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page.Ended = ended && page.AtEnd
	return page, nil
}
