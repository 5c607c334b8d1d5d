//go:build !unit

package session_test

import (
	"bytes"
	"os"
	"testing"
	"time"

	"banger"
	"banger/sessionstream"
)

// Writers send as much as they may to a command that reads slowly, and close their
// connection at once; the next one comes without waiting, or waits already. The command reads of each one
// exactly what lies between its grant and the next.
func TestAttach_NextWriterIsGrantedWhatTheLastOneLeft(t *testing.T) {
	rounds := 16
	if os.Getenv("BANGER_FAULT_FULL") != "" {
		rounds = 400
	}
	for name, way := range map[string]struct{ same, resume, waits bool }{
		"another":     {},
		"who waits":   {waits: true},
		"the same":    {same: true},
		"the resumed": {same: true, resume: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			start(t, h, shell("s", "while dd bs=4096 count=1 2>/dev/null; do :; done"))
			var want bytes.Buffer
			id := string(banger.NewSessionID())
			last, grant := attachWriter(t, h, "s", id, false)
			for n := range rounds {
				data := labelled(n, int(grant.WindowBytes))
				if err := last.w.WriteData(sessionstream.ChannelStdin, data); err != nil {
					t.Fatal(err)
				}
				if !way.same {
					id = string(banger.NewSessionID())
				}
				if way.waits {
					last.send(&sessionstream.Ping{}) // a sign of life that came later would be an answer
					await[*sessionstream.Pong](last)
					next := comeAsWriter(t, h, "s", id, false)
					last.conn.Close()
					last, grant = next, await[*sessionstream.Attached](next).Stdin
				} else {
					for range n % 4 { // all of it is on its way, or some
						await[*sessionstream.StdinAck](last)
					}
					last.conn.Close()
					last, grant = attachWriter(t, h, "s", id, way.resume)
				}
				want.Write(data[:grant.Offset-int64(want.Len())])
			}
			last.send(&sessionstream.Detach{})
			if _, err := h.Control.StopSession(t.Context(), vmName, "s", banger.StopRequest{Grace: time.Minute}); err != nil {
				t.Fatal(err)
			}
			wait(t, h, "s")
			got := read(t, h, "s", all)
			if len(got) > want.Len() || got != want.String()[:len(got)] {
				t.Errorf("the command has read %d bytes that are not what was granted on, %d bytes", len(got), want.Len())
			}
		})
	}
}
