package servicetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"banger"
	"banger/internal/signalname"
)

// StopSession implements banger.SessionControl.
func (f *Fake) StopSession(_ context.Context, vm, session string, r banger.StopRequest) (banger.Session, error) {
	defer f.call(fmt.Sprintf("%q %q %+v", vm, session, r), "StopSession", vm, session, r)()
	x, err := f.found(vm, session)
	if err != nil || !f.Strict {
		return x, err
	}
	if err := r.WithDefaults().Validate(); err != nil {
		return banger.Session{}, err
	}
	place, err := f.session(vm, session)
	if err != nil || place.Status.Ended() {
		return x, err
	}
	place.Status = banger.StatusFailed
	return f.changeSession(banger.EventSessionChanged, place), nil
}

// SignalSession implements banger.SessionControl.
func (f *Fake) SignalSession(_ context.Context, vm, session string, r banger.SignalRequest) error {
	defer f.call(fmt.Sprintf("%q %q %q %v", vm, session, r.Signal, r.All), "SignalSession", vm, session, r)()
	x, err := f.found(vm, session)
	if err != nil || !f.Strict {
		return err
	}
	if signalname.Parse("SIG"+strings.TrimPrefix(strings.ToUpper(r.Signal), "SIG")) == 0 {
		return banger.Errorf(banger.CodeInvalid, "cannot send signal %q: there is no such signal", r.Signal)
	}
	if x.Status.Ended() {
		return banger.Errorf(banger.CodeState, "cannot signal session %q: it has ended", x.Name)
	}
	return nil
}

// SendSession implements banger.SessionStreams. It records what it was sent.
func (f *Fake) SendSession(ctx context.Context, vm, session string, r banger.SendRequest) (banger.SendResult, error) {
	if f.OnSend != nil {
		f.call("", "SendSession", vm, session, r)()
		return f.OnSend(ctx, r)
	}
	var data []byte
	if r.Data != nil {
		var err error
		if data, err = io.ReadAll(r.Data); err != nil {
			return banger.SendResult{}, err
		}
	}
	defer f.call(fmt.Sprintf("%q %q %q %v", vm, session, data, r.EOF), "SendSession", vm, session, data, r.EOF)()
	_, err := f.found(vm, session)
	return banger.SendResult{Offset: int64(len(data)), EOF: r.EOF}, err
}

// ReadLogs implements banger.SessionStreams: it gives the chunks that the test has set.
func (f *Fake) ReadLogs(ctx context.Context, vm, session string, r banger.LogRequest, fn func(banger.LogChunk) error) (end banger.LogEnd, err error) {
	from := int64(-1)
	if r.From != nil {
		from = *r.From
	}
	selected := ""
	if !r.Since.IsZero() || !r.Until.IsZero() || r.Grep != "" {
		selected = fmt.Sprintf(" since %v until %v grep %q", r.Since, r.Until, r.Grep)
	}
	unlock := f.call(fmt.Sprintf("%q %q %s lines %d from %d cursor %v follow %v%s", vm, session, r.Stream, r.Lines, from, r.Cursor, r.Follow, selected),
		"ReadLogs", vm, session, r)
	_, err = f.found(vm, session)
	unlock()
	if f.OnLogs != nil {
		return end, f.OnLogs(ctx, r, fn)
	}
	for _, chunk := range f.Chunks {
		if err := fn(chunk); err != nil {
			return end, err
		}
		end.Next = end.Next.Advance(chunk)
	}
	return end, err
}

// MatchSession implements banger.SessionStreams.
func (f *Fake) MatchSession(_ context.Context, vm, session string, r banger.MatchRequest) (banger.Match, error) {
	defer f.call(fmt.Sprintf("%q %q %q %s cursor %v", vm, session, r.Pattern, r.Stream, r.Cursor), "MatchSession", vm, session, r)()
	_, err := f.found(vm, session)
	return f.Match, err
}

// SearchSessions implements banger.SessionStreams: it gives the results that the test has set.
func (f *Fake) SearchSessions(ctx context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
	f.call(fmt.Sprintf("%+v", r), "SearchSessions", r)()
	if f.OnSearch != nil {
		return f.OnSearch(ctx, fn)
	}
	for _, result := range f.Results {
		if err := fn(result); err != nil {
			return f.SearchEnd, err
		}
	}
	return f.SearchEnd, f.Err
}

// PruneSessions implements banger.SessionService.
func (f *Fake) PruneSessions(_ context.Context, r banger.PruneRequest) (banger.PruneResult, error) {
	keep := "-1"
	if r.Keep != nil {
		keep = strconv.Itoa(*r.Keep)
	}
	defer f.call(fmt.Sprintf("%q %v %v keep %s bytes %d dry %v", r.VM, r.Tags, r.OlderThan, keep, r.MaxBytes, r.DryRun), "PruneSessions", r)()
	if f.Strict && r.Retention.IsZero() {
		return banger.PruneResult{}, banger.Errorf(banger.CodeInvalid, "cannot prune sessions: no criterion")
	}
	return f.Pruned, f.Err
}

// WatchEvents implements banger.EventService.
func (f *Fake) WatchEvents(ctx context.Context, since int64, fn func(banger.Event) error) error {
	f.call(strconv.FormatInt(since, 10), "WatchEvents", since)()
	if f.OnWatch != nil {
		return f.OnWatch(ctx, since, fn)
	}
	for {
		var next *banger.Event
		err := f.await(ctx, func() bool {
			for i, e := range f.Events {
				if e.Revision > since {
					next = &f.Events[i]
					return true
				}
			}
			return !f.Strict
		})
		switch {
		case err != nil:
			return err
		case next == nil:
			return f.Err
		}
		since = next.Revision
		if err := fn(*next); err != nil {
			return err
		}
	}
}

// CopyFiles serves as httpapi.Copies. What a client sends comes back.
func (f *Fake) CopyFiles(_ context.Context, vm string) (func(context.Context, net.Conn), error) {
	f.call(fmt.Sprintf("%q", vm), "CopyFiles", vm)()
	return func(ctx context.Context, conn net.Conn) {
		defer conn.Close()
		unblock := context.AfterFunc(ctx, func() { conn.Close() })
		defer unblock()
		_, _ = io.Copy(conn, conn)
	}, f.Err
}

// AttachSession serves as httpapi.Attachments. What a client sends comes back.
func (f *Fake) AttachSession(_ context.Context, vm, session string) (func(context.Context, net.Conn, int64), error) {
	f.call(fmt.Sprintf("%q %q", vm, session), "AttachSession", vm, session)()
	return func(ctx context.Context, conn net.Conn, number int64) {
		defer conn.Close()
		unblock := context.AfterFunc(ctx, func() { conn.Close() })
		defer unblock()
		if f.OnAttach != nil {
			f.OnAttach(conn, number)
			return
		}
		_, _ = io.Copy(conn, conn)
	}, f.Err
}
