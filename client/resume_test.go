package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"banger"
	"banger/internal/httpapi/httpapitest"
	"banger/internal/servicetest"
)

// ways are how a daemon can end under its clients.
func ways(t *testing.T, test func(t *testing.T, end func(*httpapitest.Daemon))) {
	t.Run("stopped", func(t *testing.T) { test(t, (*httpapitest.Daemon).Stop) })
	t.Run("killed", func(t *testing.T) { test(t, (*httpapitest.Daemon).Cut) })
}

// untilEnd waits for the end of a call's context, as a service does.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// tell reports that a call has come so far, unless its daemon ends: one that is being cut may
// have been asked once more.
func tell(ctx context.Context, that chan<- struct{}) {
	select {
	case that <- struct{}{}:
	case <-ctx.Done():
	}
}

func TestWait_OutlastsTheDaemon(t *testing.T) {
	ways(t, func(t *testing.T, end func(*httpapitest.Daemon)) {
		waiting := make(chan struct{}, 1)
		r := newRig(t, &servicetest.Fake{OnWait: func(ctx context.Context) (banger.Session, error) {
			tell(ctx, waiting)
			return banger.Session{}, untilEnd(ctx)
		}})
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			<-waiting
			end(r.daemon)
			r.daemon.Start(&servicetest.Fake{Session: banger.Session{ID: "s", SessionState: banger.SessionState{Status: banger.StatusExited}}})
		})
		x, err := r.WaitSession(t.Context(), "v", "s")
		if err != nil || x.Status != banger.StatusExited {
			t.Errorf("got %s, %v", x.Status, err)
		}
	})
}

// logScript is what a session writes: the same for every daemon that reads it.
type logScript []banger.LogChunk

func newLogScript() (script logScript) {
	var at banger.LogCursor
	for i := range 40 {
		c := banger.LogChunk{Stream: banger.StreamStdout, Offset: at.Stdout, Data: fmt.Appendf(nil, "line %d\n", i)}
		if i%3 == 0 {
			c.Stream, c.Offset = banger.StreamStderr, at.Stderr
		}
		at = at.Advance(c)
		script = append(script, c)
	}
	return script
}

// serve reads the script from a cursor on, as the session service does, and
// calls hold before each piece, and with -1 before it reports where it begins.
func (script logScript) serve(ctx context.Context, r banger.LogRequest, fn func(banger.LogChunk) error, hold func(piece int) error) error {
	begin := banger.LogCursor{Stdout: script[1].Offset, Stderr: script[3].Offset} // where the last lines begin
	if r.Cursor != nil {
		begin = *r.Cursor
	}
	if err := hold(-1); err != nil {
		return err
	}
	if err := r.Begin(begin); err != nil {
		return err
	}
	for i, c := range script {
		if c.Stream == banger.StreamStdout && c.Offset < begin.Stdout || c.Stream == banger.StreamStderr && c.Offset < begin.Stderr {
			continue
		}
		if err := hold(i); err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}

// TestLogs_NoByteIsLostOrRepeatedOverDaemons follows a log through daemons that
// end before they tell where it begins, and after 0, 1, 7 and 20 pieces.
func TestLogs_NoByteIsLostOrRepeatedOverDaemons(t *testing.T) {
	ways(t, func(t *testing.T, end func(*httpapitest.Daemon)) {
		script := newLogScript()
		cuts := []int{-1, 1, 2, 8, 21}
		reached := make(chan struct{})
		// serve is the log service of the nth daemon.
		serve := func(n int) *servicetest.Fake {
			return &servicetest.Fake{OnLogs: func(ctx context.Context, r banger.LogRequest, fn func(banger.LogChunk) error) error {
				if r.Limit != 0 {
					t.Errorf("daemon %d is asked for %d bytes at most", n, r.Limit)
				}
				return script.serve(ctx, r, fn, func(piece int) error {
					if n < len(cuts) && piece >= cuts[n] {
						tell(ctx, reached)
						return untilEnd(ctx)
					}
					return nil
				})
			}}
		}
		r := newRig(t, serve(0))
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for n := range cuts {
				<-reached
				end(r.daemon)
				r.daemon.Start(serve(n + 1))
			}
		})
		var got, want strings.Builder
		begins := 0
		_, err := r.ReadLogs(t.Context(), "v", "s", banger.LogRequest{
			Stream: banger.StreamBoth, Lines: 38, Follow: true,
			Begin: func(banger.LogCursor) error { begins++; return nil },
		}, func(c banger.LogChunk) error {
			fmt.Fprintf(&got, "%s %d %s", c.Stream, c.Offset, c.Data)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range script {
			if i == 0 { // before the last 38 lines, as serve counts them
				continue
			}
			fmt.Fprintf(&want, "%s %d %s", c.Stream, c.Offset, c.Data)
		}
		if got.String() != want.String() {
			t.Errorf("got:\n%s\nwant:\n%s", got.String(), want.String())
		}
		if begins != 1 {
			t.Errorf("the reading began %d times", begins)
		}
	})
}

func TestLogs_ReaderEndsThem(t *testing.T) {
	script := newLogScript()
	r := newRig(t, &servicetest.Fake{OnLogs: func(ctx context.Context, q banger.LogRequest, fn func(banger.LogChunk) error) error {
		return errors.Join(script.serve(ctx, q, fn, func(int) error { return nil }), untilEnd(ctx))
	}})
	enough := errors.New("enough")
	_, err := r.ReadLogs(t.Context(), "v", "s", banger.LogRequest{}, func(banger.LogChunk) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("ended with %v", err)
	}
}

func TestEvents_NoneIsLostOrRepeatedOverDaemons(t *testing.T) {
	ways(t, func(t *testing.T, end func(*httpapitest.Daemon)) {
		const last = 30
		reached := make(chan struct{})
		serve := func(stopAt int64) *servicetest.Fake {
			return &servicetest.Fake{Revision: 10, OnWatch: func(ctx context.Context, since int64, fn func(banger.Event) error) error {
				for revision := since + 1; revision <= last; revision++ {
					if revision == stopAt {
						break
					}
					if err := fn(banger.Event{Revision: revision, Kind: banger.EventVMChanged, VM: &banger.VM{}}); err != nil {
						return err
					}
				}
				tell(ctx, reached)
				return untilEnd(ctx)
			}}
		}
		r := newRig(t, serve(11)) // it ends before the first event, when only the heartbeat has told where it is
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for _, stopAt := range []int64{15, 16, 0} {
				<-reached
				end(r.daemon)
				r.daemon.Start(serve(stopAt))
			}
			<-reached
		})
		enough := errors.New("enough")
		next := int64(11)
		err := r.WatchEvents(t.Context(), -1, func(e banger.Event) error {
			if e.Revision != next {
				t.Errorf("got event %d, want %d", e.Revision, next)
			}
			if next++; e.Revision == last {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Errorf("ended with %v", err)
		}
	})
}

// fakeStdin is a session's stdin as the guest keeps it: by offset.
type fakeStdin struct {
	mu   sync.Mutex
	data []byte
	eof  bool
}

func (s *fakeStdin) write(r banger.SendRequest) (banger.SendResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, err := io.ReadAll(r.Data)
	result := banger.SendResult{Offset: int64(len(s.data)), EOF: s.eof}
	if err != nil || *r.Offset > result.Offset {
		return result, banger.Errorf(banger.CodeState, "cannot send at %d: %v", *r.Offset, err)
	}
	if skip := result.Offset - *r.Offset; skip < int64(len(data)) {
		s.data = append(s.data, data[skip:]...)
	}
	s.eof = s.eof || r.EOF
	return banger.SendResult{Offset: int64(len(s.data)), EOF: s.eof}, nil
}

// TestSend_WithOffsetNoByteIsLostOrTakenTwice has daemons that end after they
// have passed a piece on and before they have answered.
func TestSend_WithOffsetNoByteIsLostOrTakenTwice(t *testing.T) {
	ways(t, func(t *testing.T, end func(*httpapitest.Daemon)) {
		stdin := &fakeStdin{data: []byte("before ")}
		taken := make(chan struct{})
		dying := &servicetest.Fake{OnSend: func(ctx context.Context, r banger.SendRequest) (banger.SendResult, error) {
			result, _ := stdin.write(r)
			tell(ctx, taken)
			return result, untilEnd(ctx)
		}}
		r := newRig(t, dying)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for range 2 {
				<-taken
				end(r.daemon)
				r.daemon.Start(dying)
			}
			<-taken
			end(r.daemon)
			r.daemon.Start(&servicetest.Fake{OnSend: func(_ context.Context, r banger.SendRequest) (banger.SendResult, error) { return stdin.write(r) }})
		})
		offset := int64(len(stdin.data))
		data := strings.Repeat("0123456789abcdef", 256<<10/8) // two pieces
		result, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: strings.NewReader(data), Offset: &offset, EOF: true})
		if err != nil {
			t.Fatal(err)
		}
		want := "before " + data
		if result.Offset != int64(len(want)) || !result.EOF || string(stdin.data) != want {
			t.Errorf("result %+v; %d bytes arrived, want %d", result, len(stdin.data), len(want))
		}
	})
}

func TestSend_WithoutOffsetIsNotRepeated(t *testing.T) {
	taken := make(chan struct{}, 1)
	fake := &servicetest.Fake{OnSend: func(ctx context.Context, r banger.SendRequest) (banger.SendResult, error) {
		tell(ctx, taken)
		return banger.SendResult{}, untilEnd(ctx)
	}}
	r := newRig(t, fake)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { <-taken; r.daemon.Cut(); r.daemon.Start(fake) })
	_, err := r.SendSession(t.Context(), "v", "s", banger.SendRequest{Data: strings.NewReader("x")})
	wantCode(t, err, banger.CodeUnavailable)
}

func TestStart_IsRepeatedWithAKeyOnly(t *testing.T) {
	for _, key := range []string{"", "key"} {
		started := make(chan struct{}, 1)
		r := newRig(t, &servicetest.Fake{OnStart: func(ctx context.Context, _ banger.SessionRequest) (banger.Session, error) {
			tell(ctx, started)
			return banger.Session{}, untilEnd(ctx)
		}})
		var wg sync.WaitGroup
		wg.Go(func() {
			<-started
			r.daemon.Cut()
			r.daemon.Start(&servicetest.Fake{Session: banger.Session{ID: "s"}})
		})
		x, err := r.StartSession(t.Context(), "v", banger.SessionRequest{IdempotencyKey: key})
		wg.Wait()
		if key == "" {
			wantCode(t, err, banger.CodeUnavailable)
		} else if err != nil || x.ID != "s" {
			t.Errorf("with a key: %+v, %v", x.ID, err)
		}
	}
}

func TestCreate_IsNeverRepeated(t *testing.T) {
	started := make(chan struct{}, 1)
	r := newRig(t, &servicetest.Fake{OnCreateVM: func(ctx context.Context, _ banger.VMRequest) (banger.VM, error) {
		tell(ctx, started)
		return banger.VM{}, untilEnd(ctx)
	}})
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { <-started; r.daemon.Cut(); r.daemon.Start(&servicetest.Fake{}) })
	_, err := r.CreateVM(t.Context(), banger.VMRequest{})
	wantCode(t, err, banger.CodeUnavailable)
	if !strings.Contains(err.Error(), "cannot tell what became of the request") {
		t.Errorf("error %v", err)
	}
}
