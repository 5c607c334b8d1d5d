package fault

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"banger"
	"banger/sessionstream"
	"banger/test/wait"
)

// newWriter starts a client that feeds a session with one line.
func newWriter(r *rig, x banger.Session) *reader {
	c := newReader(r, x)
	if err := os.WriteFile(filepath.Join(c.dir, inputFile), []byte("mine\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	c.keepsStdin = true
	c.start()
	wait.For(r.t, "the client's line", func() bool { return c.size(stdoutFile) == 5 })
	return c
}

// A writer that has gone without a word, its daemon with it, or that is frozen, is
// replaced when its lease ends; who waits for that is told in time.
func TestFault_WriterWithADeadLinkIsReplacedWithinItsLease(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(r *rig, c *reader){
		"frozen": func(_ *rig, c *reader) { c.signal(syscall.SIGSTOP) },
		"killed with its daemon": func(r *rig, c *reader) {
			c.signal(syscall.SIGSTOP) // so that it does not say goodbye to the next one
			r.killDaemon()
			c.end()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := onLoopback(t)
			x := r.start("cat", nil, "cat")
			c := newWriter(r, x)
			end(r, c)
			begun := time.Now()
			heir := r.attach(x, sessionstream.Attach{Role: sessionstream.RoleWriter, Client: "heir", From: &banger.LogCursor{}})
			grant := heir.Attached().Stdin
			if took, lease := time.Since(begun), time.Duration(grant.LeaseMS)*time.Millisecond; took > lease+5*time.Second || name == "frozen" && took < lease/2 {
				t.Errorf("that took %s with a lease of %s", took, lease)
			}
			if _, err := fmt.Fprint(heir, "yours\n"); err != nil {
				t.Fatal(err)
			}
			if err := heir.CloseStdin(); err != nil {
				t.Fatal(err)
			}
			if text := receiveAll(t, heir); string(text) != "mine\nyours\n" {
				t.Errorf("the command read %q", text)
			}
			if name == "frozen" { // it wakes up as a viewer that has missed nothing
				c.signal(syscall.SIGCONT)
				c.wait()
				if text, err := os.ReadFile(filepath.Join(c.dir, stdoutFile)); err != nil || string(text) != "mine\nyours\n" {
					t.Errorf("the old writer has seen %q, %v", text, err)
				}
			}
		})
	}
}

// A client that asks for an attachment and then says nothing holds nothing: neither
// stdin nor, after ten seconds, its connection.
func TestFault_ClientThatNeverSpeaksHoldsNothing(t *testing.T) {
	t.Parallel()
	r := onLoopback(t)
	x := r.start("cat", nil, "cat")
	silent := make([]net.Conn, 10)
	for n := range silent {
		conn, err := r.client().DialSession(t.Context(), "v", string(x.ID))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		silent[n] = conn
	}
	a := r.attach(x, sessionstream.Attach{Role: sessionstream.RoleWriter, From: &banger.LogCursor{}})
	if _, err := fmt.Fprint(a, "at once\n"); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseStdin(); err != nil {
		t.Fatal(err)
	}
	if text := receiveAll(t, a); string(text) != "at once\n" {
		t.Errorf("the command read %q", text)
	}
	for _, conn := range silent {
		c, err := sessionstream.NewReader(conn).ReadControl()
		if e, ok := c.(*sessionstream.Error); !ok || e.Code != sessionstream.CodeInvalid {
			t.Errorf("who says nothing is told %+v, %v", c, err)
		}
		if n, err := io.Copy(io.Discard, conn); n != 0 || err != nil {
			t.Errorf("behind that come %d bytes, %v", n, err)
		}
	}
}
