package shim_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"banger"
	"banger/internal/agent/shim"
	"banger/sessionstream"
)

// slowly copies stdin to stdout, a little at a time: what its writers have sent waits
// in a full pipe and behind it.
const slowly = "while dd bs=4096 count=1 2>/dev/null; do :; done"

// labelled is stdin of a writer: each 16 bytes of it say whose they are and where.
func labelled(writer, size int) []byte {
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%05d:%09d\n", writer, b.Len())
	}
	return b.Bytes()
}

// stdinWindow is what a writer may send without an acknowledgement.
const stdinWindow = 256 << 10

// parting says where two texts part.
func parting(got, want string) string {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	return fmt.Sprintf("from byte %d on %.40q, want %.40q", n, got[n:], want[n:])
}

// Who types and leaves at once has typed: nothing is dropped that stdin has room for.
func TestLeave_WhatWasSentBeforeADetachIsFedAsFarAsThereIsRoom(t *testing.T) {
	s := sh(t, "cat; exec sleep 1000", withPipe)
	var want strings.Builder
	for n := range 200 {
		c := dialRaw(t, s)
		c.attachWriter(itoa(n))
		line := fmt.Sprintf("line %d\n", n)
		want.WriteString(line)
		var both bytes.Buffer // arrives at once
		w := sessionstream.NewWriter(&both)
		if err := errors.Join(w.WriteData(sessionstream.ChannelStdin, []byte(line)), w.WriteControl(&sessionstream.Detach{})); err != nil {
			t.Fatal(err)
		}
		if _, err := c.net.Write(both.Bytes()[len("bngrss/\x01"):]); err != nil {
			t.Fatal(err)
		}
		c.wantAck(int64(want.Len()))
		c.wantEnd()
	}
	s.waitForOutput(want.String())

	full := sh(t, "exec sleep 1000", withPipe)
	c := dialRaw(t, full)
	c.attachWriter("w")
	c.data(make([]byte, 100_000))
	c.send(&sessionstream.Detach{}) // which waits for nobody
	c.wantAck(65536)
	c.wantEnd()
}

// Of two open connections of one attachment the newer one counts; the older one is
// told, once, whatever its role is.
func TestLeave_OlderConnectionOfAnAttachmentIsToldAndEnded(t *testing.T) {
	s := sh(t, "cat", withPipe)
	for _, role := range []sessionstream.Role{sessionstream.RoleViewer, sessionstream.RoleWriter} {
		attach := &sessionstream.Attach{Role: role, AttachID: "same"}
		var last *rawConn
		for n := range 5 {
			c := dialRaw(t, s)
			c.send(attach)
			if m, ok := c.receive().(*sessionstream.Attached); !ok || (m.Stdin != nil) != (role == sessionstream.RoleWriter) {
				t.Errorf("%s %d gets %+v", role, n, m)
			}
			if last != nil {
				if e, ok := last.receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeReplaced {
					t.Errorf("%s %d is told %+v", role, n-1, e)
				}
				last.wantEnd()
			}
			last = c
		}
		last.send(&sessionstream.Ping{})
		if m, ok := last.receive().(*sessionstream.Pong); !ok {
			t.Errorf("the newest %s is told %+v", role, m)
		}
	}
}

// What comes behind the end of stdin is refused once, and says where stdin stands; an
// end at another position is refused, too.
func TestStdin_BehindItsEndIsRefusedOnce(t *testing.T) {
	for name, option := range map[string]option{"a pipe": withPipe, "no stdin": func(l *shim.Launch) { l.StdinMode = banger.StdinClosed }} {
		t.Run(name, func(t *testing.T) {
			s := sh(t, "exec sleep 1000", option)
			c := dialRaw(t, s)
			c.attachWriter("w")
			for range 3 {
				c.send(&sessionstream.EOF{Offset: new(int64)})
				c.wantAck(0)
			}
			for range 20 {
				c.data([]byte("x"))
			}
			var told []string
			note := func(m sessionstream.Control) {
				if e, ok := m.(*sessionstream.Error); ok {
					told = append(told, string(e.Code))
					if e.Offset == nil || *e.Offset != 0 {
						t.Errorf("told %+v", e)
					}
				}
			}
			for len(told) == 0 {
				note(c.receive())
			}
			c.send(&sessionstream.Ping{})
			for pong := false; !pong; {
				m := c.receive()
				note(m)
				_, pong = m.(*sessionstream.Pong)
			}
			if strings.Join(told, " ") != "closed" {
				t.Errorf("told %q", told)
			}
			other := dialRaw(t, s)
			other.send(&sessionstream.Attach{Role: sessionstream.RoleWriter, AttachID: "w", Resume: true, NoOutput: true})
			other.receive()
			other.send(&sessionstream.EOF{Offset: new(int64(3000))})
			if e, ok := other.receive().(*sessionstream.Error); !ok || e.Code != sessionstream.CodeOffset || e.Offset == nil || *e.Offset != 0 {
				t.Errorf("an end where stdin does not stand: %+v", e)
			}
			other.wantEnd()
		})
	}
}
