package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"banger"
	"banger/api"
	"banger/internal/guestapi"
	"banger/internal/httpapi"
	"banger/internal/localsocket"
	"banger/internal/servicetest"
)

const logsPath = "/v1/vms/a/sessions/b/logs"

func chunk(stream banger.Stream, offset int64, data string) banger.LogChunk {
	return banger.LogChunk{Stream: stream, Offset: offset, Data: []byte(data)}
}

func TestLogs_EveryLineComesAtOnceAndTheEndIsMarked(t *testing.T) {
	r := newRig(t)
	more := make(chan struct{})
	r.fake.OnLogs = func(_ context.Context, q banger.LogRequest, fn func(banger.LogChunk) error) error {
		if err := q.Begin(banger.LogCursor{Stdout: 5, Stderr: 7}); err != nil {
			return err
		}
		if err := fn(chunk(banger.StreamStdout, 5, "\xff\n")); err != nil {
			return err
		}
		<-more
		return fn(chunk(banger.StreamStderr, 7, "e"))
	}
	resp := r.open(t.Context(), "GET", logsPath+"?follow=true&stream=both&lines=3", "")
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got := line[api.LogLine](t, in); *got.Cursor != (banger.LogCursor{Stdout: 5, Stderr: 7}) {
		t.Errorf("first line %+v", got)
	}
	if got := line[api.LogLine](t, in); string(got.Data) != "\xff\n" || got.Offset != 5 {
		t.Errorf("second line %+v", got)
	}
	close(more) // only now that the first piece has arrived
	if got := line[api.LogLine](t, in); string(got.Data) != "e" || got.Stream != banger.StreamStderr {
		t.Errorf("third line %+v", got)
	}
	if got := line[api.LogLine](t, in); got.End == nil {
		t.Errorf("last line %+v", got)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLogs_ErrorIsAnAnswerBeforeTheFirstLineAndALineAfterIt(t *testing.T) {
	r := newRig(t)
	r.fake.Err = banger.Errorf(banger.CodeNotFound, "cannot find it")
	status, answer := r.do("GET", logsPath, "")
	r.wantError(status, answer, http.StatusNotFound, banger.CodeNotFound, "cannot find it")

	r.fake.OnLogs = func(_ context.Context, _ banger.LogRequest, fn func(banger.LogChunk) error) error {
		return errors.Join(fn(chunk(banger.StreamStdout, 0, "x")), r.fake.Err)
	}
	status, answer = r.do("GET", logsPath, "")
	lines := strings.Split(strings.TrimSpace(answer), "\n")
	if status != http.StatusOK || len(lines) != 2 || !strings.Contains(lines[1], `"error":{"code":"not_found"`) {
		t.Errorf("status %d: %q", status, lines)
	}
}

func TestStream_IsCutWithoutAnEndWhenTheDaemonStops(t *testing.T) {
	r := newRig(t)
	r.fake.OnLogs = func(ctx context.Context, _ banger.LogRequest, fn func(banger.LogChunk) error) error {
		if err := fn(chunk(banger.StreamStdout, 0, "x")); err != nil {
			return err
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	resp := r.open(t.Context(), "GET", logsPath+"?follow=true", "")
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	line[api.LogLine](t, in)
	r.daemon.Stop()
	if rest, err := io.ReadAll(in); len(rest) > 0 {
		t.Errorf("after the stop came %q, %v", rest, err)
	}
}

func TestStream_ClientThatDoesNotReadDelaysNoStop(t *testing.T) {
	r := newRig(t)
	full, ended := make(chan struct{}), make(chan error, 1)
	r.fake.OnLogs = func(_ context.Context, _ banger.LogRequest, fn func(banger.LogChunk) error) (err error) {
		defer func() { ended <- err }()
		piece := chunk(banger.StreamStdout, 0, strings.Repeat("x", guestapi.MaxLogPageBytes))
		for n := 0; ; n++ {
			if n == 8 {
				close(full) // more than the socket holds, so that a write blocks soon
			}
			if err := fn(piece); err != nil {
				return err
			}
		}
	}
	conn := dial(t, r.socket)
	if _, err := io.WriteString(conn, "GET "+logsPath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 32<<10)
	for done := false; !done; {
		if _, err := conn.Read(buffer); err != nil {
			t.Fatal(err)
		}
		select {
		case <-full:
			done = true
		default:
		}
	}
	r.daemon.Stop()
	// Later its connection would be closed.
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the blocked write was not broken off, but ended with: %v", err)
	}
}

func TestCall_IsAnsweredWhenTheDaemonStops(t *testing.T) {
	r := newRig(t)
	waiting := make(chan struct{})
	r.fake.OnWait = func(ctx context.Context) (banger.Session, error) {
		close(waiting)
		<-ctx.Done()
		return banger.Session{}, ctx.Err()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { <-waiting; r.daemon.Stop() })
	resp := r.open(t.Context(), "GET", "/v1/vms/a/sessions/b/wait", "")
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.wantError(resp.StatusCode, string(data), http.StatusServiceUnavailable, banger.CodeUnavailable, "is stopping")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("nothing says that the request may be repeated")
	}
}

func TestCall_EndsWithItsClient(t *testing.T) {
	r := newRig(t)
	waiting, ended := make(chan struct{}), make(chan struct{})
	r.fake.OnWait = func(ctx context.Context) (banger.Session, error) {
		close(waiting)
		<-ctx.Done()
		close(ended)
		return banger.Session{}, ctx.Err()
	}
	conn := dial(t, r.socket)
	if _, err := io.WriteString(conn, "GET /v1/vms/a/sessions/b/wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-waiting
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestWait_TimeLimit(t *testing.T) {
	r := newRig(t)
	r.fake.OnWait = func(ctx context.Context) (banger.Session, error) {
		<-ctx.Done()
		return banger.Session{}, ctx.Err()
	}
	status, answer := r.do("GET", "/v1/vms/a/sessions/b/wait?timeout_ms=1", "")
	r.wantError(status, answer, http.StatusGatewayTimeout, banger.CodeTimeout, `"b"`)
}

// TestSend_EndsWithItsClient has a command that does not read, and a client that
// leaves while much of what it sent is still unread.
func TestSend_EndsWithItsClient(t *testing.T) {
	r := newRig(t)
	sending, ended := make(chan struct{}), make(chan struct{})
	r.fake.OnSend = func(ctx context.Context, q banger.SendRequest) (banger.SendResult, error) {
		if _, err := io.ReadFull(q.Data, make([]byte, 10)); err != nil {
			t.Error(err)
		}
		close(sending)
		<-ctx.Done()
		close(ended)
		return banger.SendResult{Offset: 10}, ctx.Err()
	}
	conn := dial(t, r.socket)
	body := "POST /v1/vms/a/sessions/b/stdin HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 50_000)
	if _, err := io.WriteString(conn, body); err != nil {
		t.Fatal(err)
	}
	<-sending
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestSend_ErrorSaysWhatWasAccepted(t *testing.T) {
	r := newRig(t)
	r.fake.OnSend = func(context.Context, banger.SendRequest) (banger.SendResult, error) {
		return banger.SendResult{Offset: 7}, banger.Errorf(banger.CodeState, "cannot send")
	}
	status, answer := r.do("POST", "/v1/vms/a/sessions/b/stdin?offset=9", "data")
	r.wantError(status, answer, http.StatusConflict, banger.CodeState, "cannot send")
	if !strings.Contains(answer, `"accepted":{"offset":7,"eof":false}`) {
		t.Errorf("answer %s", answer)
	}
}

func TestSend_ErrorDoesNotWaitForTheBody(t *testing.T) {
	r := newRig(t)
	r.fake.OnSend = func(context.Context, banger.SendRequest) (banger.SendResult, error) {
		return banger.SendResult{}, banger.Errorf(banger.CodeNotFound, "cannot find it")
	}
	conn := dial(t, r.socket)
	if _, err := io.WriteString(conn, "POST /v1/vms/a/sessions/b/stdin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this"); err != nil {
		t.Fatal(err)
	}
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(status, "404") {
		t.Errorf("answer %q, %v", status, err)
	}
}

func TestBuild_ProgressThenImage(t *testing.T) {
	r := newRig(t)
	r.fake.OnBuild = func(_ context.Context, progress func(banger.BuildProgress)) (banger.Image, error) {
		progress(banger.BuildProgress{Stage: "bootstrap", Percent: 12.5})
		return banger.Image{ID: "img"}, nil
	}
	resp := r.open(t.Context(), "POST", "/v1/images", `{"name":"default","recipe":{"suite":"bookworm"}}`)
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got := line[api.BuildLine](t, in); got.Progress == nil || got.Progress.Stage != "bootstrap" {
		t.Errorf("first line %+v", got)
	}
	if got := line[api.BuildLine](t, in); got.Image == nil || got.Image.ID != "img" {
		t.Errorf("last line %+v", got)
	}
}

func TestEvents_FromNowOnBeginsWithTheRevision(t *testing.T) {
	r := newRig(t)
	r.fake.Revision = 41
	r.fake.OnWatch = func(ctx context.Context, since int64, fn func(banger.Event) error) error {
		if since != 41 {
			t.Errorf("watched since %d", since)
		}
		if err := fn(banger.Event{Revision: 42, Kind: banger.EventVMDeleted, VM: &banger.VM{Name: "x"}}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := r.open(ctx, "GET", "/v1/events", "")
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got := line[api.EventLine](t, in); got.Kind != api.KindHeartbeat || got.Revision != 41 {
		t.Errorf("first line %+v", got.Event)
	}
	if got := line[api.EventLine](t, in); got.Kind != banger.EventVMDeleted || got.Revision != 42 || got.VM.Name != "x" {
		t.Errorf("second line %+v", got.Event)
	}
}

func TestEvents_HeartbeatTellsHowFarItIs(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	fake := &servicetest.Fake{OnWatch: func(ctx context.Context, _ int64, fn func(banger.Event) error) error {
		if err := fn(banger.Event{Revision: 8, Kind: banger.EventVMCreated}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}
	l, err := localsocket.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() {
		served <- httpapi.Serve(ctx, l, httpapi.NewWithHeartbeat(httpapi.Services{Services: fake.Services(), Attachments: fake}, "v1", time.Millisecond), slog.New(slog.DiscardHandler))
	}()
	resp, err := plainClient(socket).Get("http://x/v1/events?since=7")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(resp.Body)
	for beats, told := 0, int64(7); beats < 3; {
		got := line[api.EventLine](t, in)
		if got.Kind == api.KindHeartbeat {
			if got.Revision != told {
				t.Errorf("heartbeat at %d after event %d", got.Revision, told)
			}
			beats++
		}
		told = got.Revision
	}
	_ = resp.Body.Close()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func dial(t *testing.T, socket string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
