package session_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/sessionstream"
)

// stream is one connection to a session, through the API, of a client that need not
// behave.
type stream struct {
	t    *testing.T
	conn net.Conn
	r    *sessionstream.Reader
	w    *sessionstream.Writer
}

const patience = 30 * time.Second

// openStream connects and sends the first control. Nothing else here knows how one gets
// from the API to the stream.
func openStream(t *testing.T, h *hosttest.Host, session string, a sessionstream.Attach) *stream {
	t.Helper()
	conn, err := h.Client().DialSession(t.Context(), vmName, session)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	s := &stream{t, conn, sessionstream.NewReader(conn), sessionstream.NewWriter(conn)}
	s.send(&a)
	return s
}

func (s *stream) send(c sessionstream.Control) {
	s.t.Helper()
	if err := s.w.WriteControl(c); err != nil {
		s.t.Fatal(err)
	}
}

// control returns the next control; output is passed over.
func (s *stream) control() (sessionstream.Control, error) {
	for {
		h, err := s.r.Next()
		if err != nil {
			return nil, err
		}
		if h.Channel == sessionstream.ChannelControl {
			return s.r.Control()
		}
	}
}

// await returns the next control of a type, before which no error may come.
func await[C sessionstream.Control](s *stream) C {
	s.t.Helper()
	for {
		c, err := s.control()
		if err != nil {
			s.t.Fatal(err)
		}
		if wanted, ok := c.(C); ok {
			return wanted
		}
		if e, ok := c.(*sessionstream.Error); ok {
			s.t.Fatalf("refused with %s: %s", e.Code, e.Text)
		}
	}
}

// attachWriter attaches a writer as soon as the last one is known to have left.
func attachWriter(t *testing.T, h *hosttest.Host, session, id string, resume bool) (*stream, *sessionstream.Grant) {
	t.Helper()
	for {
		s := comeAsWriter(t, h, session, id, resume)
		c, err := s.control()
		if e, ok := c.(*sessionstream.Error); ok && e.Code == sessionstream.CodeHeld {
			continue // the server has waited for a sign of life
		}
		attached, ok := c.(*sessionstream.Attached)
		if !ok || attached.Stdin == nil {
			t.Fatalf("the answer to attach is %+v, %v", c, err)
		}
		return s, attached.Stdin
	}
}

func comeAsWriter(t *testing.T, h *hosttest.Host, session, id string, resume bool) *stream {
	t.Helper()
	return openStream(t, h, session, sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: id, NoOutput: true, Resume: resume})
}

// labelled is stdin of a writer: each 16 bytes of it say whose they are and where.
func labelled(writer, size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%05d:%09d\n", writer, b.Len())
	}
	return b.Bytes()[:size]
}

// Of two open connections of one attachment the newer one counts; the older one is told
// so and ended, and that is all.
func TestAttach_OlderConnectionOfAnAttachmentIsToldAndEnded(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "cat"))
	id := string(banger.NewSessionID())
	older, _ := attachWriter(t, h, "s", id, false)
	for range 5 {
		newer, _ := attachWriter(t, h, "s", id, true)
		c, err := older.control()
		if e, ok := c.(*sessionstream.Error); !ok || e.Code != sessionstream.CodeReplaced {
			t.Fatalf("the older connection is told %+v, %v", c, err)
		}
		if c, err := older.control(); err == nil {
			t.Errorf("the older connection is told %+v, too", c)
		}
		newer.send(&sessionstream.Ping{})
		if c, err := newer.control(); err != nil || sessionstream.TypeOf(c) != "pong" {
			t.Errorf("the newer connection is told %+v, %v", c, err)
		}
		older = newer
	}
}

// A writer loses stdin while it has no daemon: the next one attaches it as a viewer,
// tells by whom, and it misses no output.
func TestAttach_WriterThatLostStdinWithoutADaemonIsAViewer(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "cat"))
	id := string(banger.NewSessionID())
	attachWriter(t, h, "s", id, false)
	h.Restart()
	heir := openStream(t, h, "s", sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: string(banger.NewSessionID()), Client: "heir"})
	await[*sessionstream.Attached](heir)
	heir.send(&sessionstream.Takeover{})
	await[*sessionstream.Granted](heir)
	if err := heir.w.WriteData(sessionstream.ChannelStdin, []byte("of the heir\n")); err != nil {
		t.Fatal(err)
	}
	back := openStream(t, h, "s", sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: id, Resume: true, From: &banger.LogCursor{}})
	if a := await[*sessionstream.Attached](back); a.Stdin != nil {
		t.Errorf("it is granted %+v", a.Stdin)
	}
	if e := await[*sessionstream.Evicted](back); e.By != "heir" {
		t.Errorf("evicted by %q", e.By)
	}
	if h, err := back.r.Next(); err != nil || h.Channel != sessionstream.ChannelStdout {
		t.Fatalf("it gets %+v, %v", h, err)
	}
	if text, err := io.ReadAll(back.r); err != nil || string(text) != "of the heir\n" {
		t.Errorf("it reads %q, %v", text, err)
	}
	// What it sends as if it still had stdin is dropped, and it may take that back.
	if err := back.w.WriteData(sessionstream.ChannelStdin, []byte("dropped")); err != nil {
		t.Fatal(err)
	}
	back.send(&sessionstream.Takeover{})
	if g := await[*sessionstream.Granted](back); g.Stdin.Offset != int64(len("of the heir\n")) {
		t.Errorf("granted %+v", g.Stdin)
	}
}

// What a client must not do with stdin is answered through the daemon as by the shim.
func TestAttach_StdinIsJudgedAsByTheShim(t *testing.T) {
	h := newHost(t)
	six := []byte("six by")
	for name, c := range map[string]struct {
		role   sessionstream.Role
		do     func(s *stream)
		code   sessionstream.ErrorCode
		offset int64 // -1: none
		ends   bool
	}{
		"an end before the end": {sessionstream.RoleWriter, func(s *stream) {
			_ = s.w.WriteData(sessionstream.ChannelStdin, six)
			s.send(&sessionstream.EOF{Offset: new(int64(3))})
		}, sessionstream.CodeOffset, 6, true},
		"an end behind the end": {sessionstream.RoleWriter, func(s *stream) { s.send(&sessionstream.EOF{Offset: new(int64(3000))}) },
			sessionstream.CodeOffset, 0, true},
		"stdin behind its end": {sessionstream.RoleWriter, func(s *stream) {
			s.send(&sessionstream.EOF{Offset: new(int64)})
			_ = s.w.WriteData(sessionstream.ChannelStdin, six)
		}, sessionstream.CodeClosed, 0, false},
		"stdin behind its acknowledged end": {sessionstream.RoleWriter, func(s *stream) {
			s.send(&sessionstream.EOF{})
			await[*sessionstream.StdinAck](s)
			_ = s.w.WriteData(sessionstream.ChannelStdin, six)
		}, sessionstream.CodeClosed, 0, false},
		"more than the window": {sessionstream.RoleWriter, func(s *stream) { _, _ = io.Copy(stdinOf{s}, io.LimitReader(zeroes{}, 1<<20)) },
			sessionstream.CodeInvalid, -1, true},
		"stdin of a viewer":   {sessionstream.RoleViewer, func(s *stream) { _ = s.w.WriteData(sessionstream.ChannelStdin, six) }, sessionstream.CodeInvalid, -1, true},
		"an end of a viewer":  {sessionstream.RoleViewer, func(s *stream) { s.send(&sessionstream.EOF{}) }, sessionstream.CodeInvalid, -1, true},
		"a second attach":     {sessionstream.RoleViewer, func(s *stream) { s.send(&sessionstream.Attach{Role: "viewer", AttachID: "a"}) }, sessionstream.CodeInvalid, -1, true},
		"a signal unknown":    {sessionstream.RoleWriter, func(s *stream) { s.send(&sessionstream.Signal{Signal: "SIGNONE", To: "group"}) }, sessionstream.CodeUnsupported, -1, false},
		"a viewer that kills": {sessionstream.RoleViewer, func(s *stream) { s.send(&sessionstream.Signal{Signal: "SIGKILL", To: "group"}) }, sessionstream.CodeInvalid, -1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := start(t, h, shell("", "exec sleep 1000"))
			s := openStream(t, h, x.Name, sessionstream.Attach{Role: c.role, AttachID: string(banger.NewSessionID())})
			await[*sessionstream.Attached](s)
			c.do(s)
			var e *sessionstream.Error
			for e == nil {
				m, err := s.control()
				if err != nil {
					t.Fatalf("the stream ends without a word: %v", err)
				}
				e, _ = m.(*sessionstream.Error)
			}
			if e.Code != c.code || (e.Offset == nil) != (c.offset < 0) || e.Offset != nil && *e.Offset != c.offset {
				t.Errorf("the answer is %+v", e)
			}
			if c.ends {
				for err := error(nil); err == nil; _, err = s.control() {
				}
				return
			}
			s.send(&sessionstream.Ping{})
			await[*sessionstream.Pong](s)
		})
	}
}

// stdinOf writes to a stream's stdin until it is ended.
type stdinOf struct{ *stream }

func (s stdinOf) Write(p []byte) (int, error) {
	return len(p), s.w.WriteData(sessionstream.ChannelStdin, p)
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAttach_ToOutputThatIsNotThereIsCodeOffsetOfAnEndedSessionToo(t *testing.T) {
	h := newHost(t)
	start(t, h, shell("s", "read x; echo there"))
	for _, state := range []string{"running", "ended"} {
		s := openStream(t, h, "s", sessionstream.Attach{
			Role: sessionstream.RoleViewer, AttachID: string(banger.NewSessionID()), From: &banger.LogCursor{Stdout: 1_000_000},
		})
		m, err := s.control()
		if e, ok := m.(*sessionstream.Error); !ok || e.Code != sessionstream.CodeOffset || e.Offset != nil {
			t.Errorf("of a session that is %s: %+v, %v", state, m, err)
		}
		if state == "running" {
			send(t, h, "s", "\n", false)
			wait(t, h, "s")
		}
	}
}

// Where a session lies, only its guest knows: until that has answered nothing is said.
func TestStart_SaysWhereASessionLiesWhenItsGuestHasSaidSo(t *testing.T) {
	h := newHost(t)
	r := shell("s", "exit 0")
	r.NoWait = true
	first, err := h.Sessions.StartSession(t.Context(), vmName, r)
	if err != nil {
		t.Fatal(err)
	}
	if first.GuestStateDir != "" || first.StdoutLogPath != "" || first.StderrLogPath != "" {
		t.Errorf("before its guest has answered it lies in %q, %q, %q", first.GuestStateDir, first.StdoutLogPath, first.StderrLogPath)
	}
	if x := wait(t, h, "s"); x.GuestStateDir == "" || x.StdoutLogPath == "" {
		t.Errorf("it lies in %q, %q", x.GuestStateDir, x.StdoutLogPath)
	}
}
