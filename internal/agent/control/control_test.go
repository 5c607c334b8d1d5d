package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/agent/control"
	"banger/internal/agent/shimclient"
	"banger/internal/guestapi"
	"banger/internal/guestrpc"
	"banger/sessionstream"
	"banger/test/oldkernel"
	"banger/test/programs"
	"banger/test/wait"
)

// waitLimit bounds every wait of these tests for what must happen.
const waitLimit = 30 * time.Second

// serveVariable makes this binary a control server, so that a test can kill one.
const serveVariable = "BANGER_TEST_SERVE_CONTROL"

// TestMain builds the shim that the tests run.
func TestMain(m *testing.M) {
	if spec := os.Getenv(oldkernel.Variable); spec != "" {
		fmt.Fprintln(os.Stderr, oldkernel.Exec(spec, "/proc/self/exe", os.Args))
		os.Exit(1)
	}
	if dir := os.Getenv(serveVariable); dir != "" {
		if err := control.Serve(context.Background(), config(dir), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "control-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := programs.Put(dir, programs.Shim); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Setenv(shimVariable, filepath.Join(dir, programs.Shim.Name()))
	return m.Run()
}

// shimVariable hands the path of the built shim to control servers that are
// processes of their own.
const shimVariable = "BANGER_TEST_SHIM"

func config(dir string) control.Config {
	return control.Config{
		SessionsDir: dir,
		ShimPath:    os.Getenv(shimVariable),
		CgroupRoot:  os.Getenv(cgroupVariable),
		Version:     "test",
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
}

const cgroupVariable = "BANGER_TEST_CGROUP"

// link is a link to a control server, with everything that was pushed.
type link struct {
	t     *testing.T
	rpc   *jrpc2.Client
	wire  *guestrpc.Channel // of rpc
	hangs func()            // ends the link and waits for the server

	mu       sync.Mutex // guards the fields below
	sent     int        // messages to the guest
	received int        // messages from the guest
	states   map[banger.SessionID][]guestapi.GuestSession
	news     chan struct{} // closed at the next push
}

// countingChannel counts messages for its link.
type countingChannel struct {
	*guestrpc.Channel
	l *link
}

func (c countingChannel) Send(b []byte) error {
	c.l.mu.Lock()
	c.l.sent++
	c.l.mu.Unlock()
	return c.Channel.Send(b)
}

func (c countingChannel) Recv() ([]byte, error) {
	b, err := c.Channel.Recv()
	c.l.mu.Lock()
	if err == nil {
		c.l.received++
	}
	c.l.mu.Unlock()
	return b, err
}

// connect opens a link over in and out.
func connect(t *testing.T, out io.Reader, in io.WriteCloser, hangs func()) *link {
	t.Helper()
	l := &link{t: t, states: map[banger.SessionID][]guestapi.GuestSession{}, news: make(chan struct{})}
	l.wire = guestrpc.NewChannel(out, in)
	l.rpc = jrpc2.NewClient(countingChannel{l.wire, l}, &jrpc2.ClientOptions{
		OnNotify: l.pushed,
		OnCancel: func(c *jrpc2.Client, r *jrpc2.Response) {
			_ = c.Notify(context.Background(), "rpc.cancel", []json.RawMessage{json.RawMessage(r.ID())})
		},
	})
	l.hangs = sync.OnceFunc(func() {
		in.Close()
		hangs()
		l.rpc.Close()
	})
	t.Cleanup(l.hangs)
	var hello guestapi.GuestHello
	l.must(guestrpc.MethodHello, nil, &hello)
	if hello.Protocol != guestapi.GuestProtocol || hello.Version != "test" || hello.BootID == "" {
		t.Fatalf("hello is %+v", hello)
	}
	return l
}

// serve starts a control server in this process.
func serve(t *testing.T, dir string) *link {
	t.Helper()
	return serveWith(t, config(dir))
}

func serveWith(t *testing.T, cfg control.Config) *link {
	t.Helper()
	inR, inW, err1 := os.Pipe()
	outR, outW, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(context.Background(), cfg, inR, outW)
		outW.Close()
		inR.Close()
	}()
	return connect(t, outR, inW, func() {
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
		outR.Close()
	})
}

// serveProcess starts a control server as a process of its own.
func serveProcess(t *testing.T, dir string) (*link, *exec.Cmd) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serveVariable+"="+dir)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	return connect(t, out, in, func() { _ = cmd.Wait() }), cmd
}

// sessions returns a directory for sessions. What still runs in it at the test's
// end is killed.
func sessions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			_ = shimclient.Stop(context.Background(), filepath.Join(dir, e.Name()), banger.StopRequest{Kill: true})
		}
		wait.For(t, "all shims to end", func() bool {
			for _, e := range entries {
				if conn, err := shimclient.Dial(context.Background(), filepath.Join(dir, e.Name())); err == nil {
					conn.Close()
					return false
				}
			}
			return true
		})
	})
	return dir
}

func (l *link) pushed(r *jrpc2.Request) {
	var s guestapi.GuestSession
	if err := r.UnmarshalParams(&s); err != nil || r.Method() != guestrpc.NotifyChanged {
		l.t.Errorf("pushed %s: %v", r.Method(), err)
	}
	l.tell(s)
}

// tell keeps a state that the guest has told.
func (l *link) tell(s guestapi.GuestSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states[s.ID] = append(l.states[s.ID], s)
	close(l.news)
	l.news = make(chan struct{})
}

// await waits until a push about a session fulfils ok.
func (l *link) await(id banger.SessionID, what string, ok func(guestapi.GuestSession) bool) guestapi.GuestSession {
	l.t.Helper()
	limit := time.After(waitLimit)
	for {
		l.mu.Lock()
		states, news := l.states[id], l.news
		l.mu.Unlock()
		for _, s := range states {
			if ok(s) {
				return s
			}
		}
		select {
		case <-news:
		case <-limit:
			l.t.Fatalf("waited in vain for session %s to be %s; it was %+v", id, what, states)
		}
	}
}

func (l *link) awaitEnd(id banger.SessionID) guestapi.GuestSession {
	l.t.Helper()
	return l.await(id, "ended", func(s guestapi.GuestSession) bool { return s.Status.Ended() })
}

// call does one request; a refusal is a *banger.Error.
func (l *link) call(ctx context.Context, method string, params, result any) error {
	response, err := l.rpc.Call(ctx, method, params)
	if err != nil {
		var refused *jrpc2.Error
		var e banger.Error
		if errors.As(err, &refused) && refused.Code == guestrpc.CodeBanger && json.Unmarshal(refused.Data, &e) == nil {
			return &e
		}
		return err
	}
	if result == nil {
		return nil
	}
	return response.UnmarshalResult(result)
}

func (l *link) must(method string, params, result any) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	if err := l.call(ctx, method, params, result); err != nil {
		l.t.Fatalf("%s: %v", method, err)
	}
}

func (l *link) launch(g guestapi.GuestLaunch) (s guestapi.GuestSession) {
	l.t.Helper()
	l.must(guestrpc.MethodLaunch, g, &s)
	l.tell(s) // the answer may have told the end already
	return s
}

// start launches a command and expects it to run, or to have run.
func (l *link) start(stdin banger.StdinMode, command string, args ...string) guestapi.GuestSession {
	l.t.Helper()
	s := l.launch(launchOf(stdin, command, args...))
	if s.GuestPID == 0 {
		l.t.Fatalf("%s is %s: %s %s", command, s.Status, s.LaunchMessage, s.LaunchRawLog)
	}
	return s
}

func launchOf(stdin banger.StdinMode, command string, args ...string) guestapi.GuestLaunch {
	return guestapi.GuestLaunch{ID: banger.NewSessionID(), Name: "test", CreatedAt: time.Now().UTC(), Launch: banger.Launch{
		Command: banger.ByteString(command), Args: banger.ByteStrings(args), StdinMode: stdin}}
}

func (l *link) list() map[banger.SessionID]guestapi.GuestSession {
	l.t.Helper()
	byID := map[banger.SessionID]guestapi.GuestSession{}
	for p := (guestrpc.ListParams{Limit: 2}); ; {
		var page guestrpc.ListPage
		l.must(guestrpc.MethodList, p, &page)
		for _, data := range page.Sessions {
			var s guestapi.GuestSession
			if err := json.Unmarshal(data, &s); err != nil {
				l.t.Fatal(err)
			}
			byID[s.ID] = s
		}
		if p.After = page.Next; p.After == "" {
			return byID
		}
	}
}

// output follows a session's output to its end.
func (l *link) output(id banger.SessionID, stream banger.Stream) string {
	l.t.Helper()
	var out strings.Builder
	r := guestapi.GuestLogRead{ID: id, Stream: stream, MaxBytes: guestapi.MaxLogPageBytes, Wait: true}
	for {
		page, err := l.read(l.t.Context(), r)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, c := range page.Chunks {
			out.Write(c.Data)
		}
		if page.Ended {
			return out.String()
		}
		r.Cursor = page.Next
	}
}

// write feeds a session's stdin, which is no matter of the control server.
func (l *link) write(id banger.SessionID, data string, eof bool) banger.SendResult {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), waitLimit)
	defer cancel()
	r, err := sessionstream.Feed(ctx, sessionstream.Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return shimclient.Connect(ctx, l.list()[id].GuestStateDir)
		},
		Attach: sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: string(banger.NewSessionID()), NoOutput: true},
	}, nil, strings.NewReader(data), eof)
	if err != nil {
		l.t.Error(err)
	}
	return r
}
