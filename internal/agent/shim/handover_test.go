//go:build !unit

package shim_test

import (
	"bytes"
	"os"
	"testing"

	"banger/sessionstream"
	"banger/test/wait"
)

// A writer leaves with the pipe full and more on its way, in any manner, while the next
// one waits for its place or comes at once: the command reads of each one exactly what
// lies between its grant and the next.
func TestLeave_NextWriterIsGrantedWhatTheLastOneLeft(t *testing.T) {
	rounds := 12
	if os.Getenv("BANGER_FAULT_FULL") != "" {
		rounds = 100
	}
	detach := func(c *rawConn) { c.send(&sessionstream.Detach{}) }
	for name, way := range map[string]struct {
		leave       func(c *rawConn)
		same, comes bool // the next one is of the same attachment; it comes before the last one leaves
		resume      bool
	}{
		"detach, another waits":   {leave: detach, comes: true},
		"detach, another comes":   {leave: detach},
		"detach, the same comes":  {leave: detach, same: true},
		"close, the same comes":   {leave: func(c *rawConn) { c.net.Close() }, same: true},
		"close, the same resumes": {leave: func(c *rawConn) { c.net.Close() }, same: true, resume: true},
		"half a close":            {leave: func(c *rawConn) { _ = c.net.CloseWrite() }, same: true, resume: true},
		"the same comes twice":    {leave: func(c *rawConn) {}, same: true, comes: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sh(t, slowly, withPipe)
			var want bytes.Buffer
			last, data := dialRaw(t, s), labelled(0, stdinWindow)
			last.attachWriter("0")
			for n := 1; n <= rounds; n++ {
				id := "0"
				if !way.same {
					id = itoa(n)
				}
				last.data(data)
				next := dialRaw(t, s)
				come := func() {
					next.send(&sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: id, NoOutput: true, Resume: way.resume})
				}
				if way.comes {
					last.send(&sessionstream.Ping{}) // a sign of life that came later would be an answer
					wait.For(t, "the pong", func() bool { _, ok := last.receive().(*sessionstream.Pong); return ok })
					come()
				}
				way.leave(last)
				if !way.comes {
					come()
				}
				m := next.receive()
				attached, ok := m.(*sessionstream.Attached)
				if e, isError := m.(*sessionstream.Error); isError && e.Code == sessionstream.CodeHeld {
					t.Fatalf("writer %d: %s", n, e.Text)
				}
				if !ok {
					t.Fatalf("writer %d is told %+v", n, m)
				}
				want.Write(data[:attached.Stdin.Offset-int64(want.Len())])
				last, data = next, labelled(n, stdinWindow)
			}
			wait.For(t, "the command to read it all", func() bool { return len(s.stdout()) >= want.Len() })
			s.stop(0)
			s.wait()
			if got := s.stdout(); got != want.String() {
				t.Errorf("the command has read %d bytes, not the %d that were granted on: %s", len(got), want.Len(), parting(got, want.String()))
			}
		})
	}
}
