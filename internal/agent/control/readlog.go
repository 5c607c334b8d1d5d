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

// sendLog answers with one page of a session's output.
func (s *server) sendLog(ctx context.Context, r guestrpc.LogRead) (guestrpc.LogPage, error) {
	page, err := s.readLog(ctx, r.GuestLogRead)
	if err != nil {
		return guestrpc.LogPage{}, err
	}
	answer, blob := guestrpc.SplitPage(page)
	if len(blob) > 0 {
		err = s.wire.SendBlob(r.Blob, blob)
	}
	return answer, err
}

// readLog returns one page of a session's output. The end of the session is
// looked at before the page is read: so when it is reported, the page has the last
// byte.
func (s *server) readLog(ctx context.Context, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	if r.MaxBytes < 1 || r.MaxBytes > guestapi.MaxLogPageBytes {
		return guestapi.GuestLogPage{}, banger.Errorf(banger.CodeInvalid, "cannot read log: a page has 1 to %d bytes, not %d", guestapi.MaxLogPageBytes, r.MaxBytes)
	}
	x, err := s.find(r.ID)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page, err := s.readPage(ctx, x, r)
	if err != nil || !r.Wait || len(page.Chunks) > 0 || page.Ended {
		return page, err
	}
	r.Tail, r.Since, r.Cursor = nil, nil, page.Begin
	return s.awaitPage(ctx, x, r)
}

// awaitPage returns the first page that is not empty, or the end.
func (s *server) awaitPage(ctx context.Context, x *session, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	var written <-chan struct{}
	for {
		// The journal is written after the logs. Before the session runs it does
		// not exist; the change to running wakes.
		_, changed := x.current()
		if written == nil {
			ch, stop, err := s.logs.watch(filepath.Join(x.dir, sessiondir.JournalName))
			if err == nil {
				written = ch
				defer stop()
			} else if state, _ := x.current(); state.Status != banger.StatusStarting && !state.Status.Ended() {
				return guestapi.GuestLogPage{}, err
			}
		}
		page, err := s.readPage(ctx, x, r)
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
func (s *server) readPage(ctx context.Context, x *session, r guestapi.GuestLogRead) (guestapi.GuestLogPage, error) {
	ended := x.ended()
	reader := sessiondir.NewLiveReader(os.DirFS(x.dir))
	if ended {
		reader = sessiondir.NewReader(os.DirFS(x.dir)).InBoot(s.bootID)
	}
	page, err := reader.GuestPage(ctx, r)
	if err != nil {
		return guestapi.GuestLogPage{}, err
	}
	page.Ended = ended && page.AtEnd
	return page, nil
}
