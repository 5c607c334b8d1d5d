//go:build !unit

package shim_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"banger"
	"banger/sessionstream"
)

func TestWriter_ThatHasGoneIsReplacedWhenItsLeaseEnds(t *testing.T) {
	for name, leave := range map[string]func(c *rawConn){
		"without a word": func(c *rawConn) { c.net.Close() },
		"frozen":         func(*rawConn) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sh(t, "cat", withPipe)
			gone := dialRaw(t, s)
			before := time.Now()
			lease := time.Duration(gone.attachWriter("gone").LeaseMS) * time.Millisecond
			leave(gone)
			heir := s.attach(writer("heir")) // as late as it may be on a busy machine, but granted
			if took := time.Since(before); took < lease {
				t.Errorf("that took %s with a lease of %s", took, lease)
			}
			fmt.Fprint(heir, "mine")
			untilText(t, heir, "mine")
		})
	}
}

// Of those that do not read, none gets everything before the shim ends; what they
// miss is in the logs, which is not the shim's business any more.
func TestViewer_ThatIsFrozenHoldsUpNobody(t *testing.T) {
	const lines = 2_000_000 // 15 MB, far more than sockets hold
	s := sh(t, fmt.Sprintf("read x; seq %d; read x", lines), withPipe)
	for range 50 {
		frozen := dialRaw(t, s)
		frozen.send(&sessionstream.Attach{Role: sessionstream.RoleViewer, AttachID: string(banger.NewSessionID()), From: &banger.LogCursor{}})
	}
	reader := s.attach(viewer(0))
	s.mustSend(nil, "\n", false)
	digest := sha256.New()
	n := int64(0)
	last := fmt.Sprintf("\n%d\n", lines)
	until(t, reader, "the last line", func(m sessionstream.Message, out output) bool {
		digest.Write(m.Data)
		n += int64(len(m.Data))
		out[banger.StreamStdout] = out[banger.StreamStdout][max(0, len(out[banger.StreamStdout])-len(last)):]
		return out[banger.StreamStdout] == last
	})
	want := sha256.Sum256([]byte(s.stdout()))
	if !bytes.Equal(digest.Sum(nil), want[:]) {
		t.Errorf("%d bytes came that are not those of the log", n)
	}
	if pss := pssKiB(t, s.child.PID()); !raceEnabled && pss > 12<<10 {
		t.Errorf("with 50 frozen viewers the shim has %d KiB", pss)
	}
	s.mustSend(nil, "\n", false)
	s.wait()
}
