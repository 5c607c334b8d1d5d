package sessionstream

import (
	"errors"
	"io"
	"runtime"
	"testing"

	"banger"
)

// Who keeps what no attachment has taken, for the next one, must learn of each byte whether
// this one has.
func TestAttachment_TakesNothingBehindItsClose(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that nothing else runs in between
	for end, want := range map[string]error{"close": ErrClosed, "detach": io.EOF} {
		t.Run(end, func(t *testing.T) {
			s := &server{t: t, serve: func(c *serverConn, _ *Attach) {
				_ = c.out.WriteControl(&Attached{Output: &banger.LogCursor{}, Stdin: &Grant{WindowBytes: 1 << 20, LeaseMS: 1000}})
				_, _ = c.Next() // until it is cut
			}}
			a := s.open(Attach{Role: RoleWriter})
			defer a.Close()
			if end == "close" {
				a.Close()
			} else {
				a.out.link.close() // without a connection it is as Close
				a.Detach()
			}
			if n, err := a.Write([]byte("key")); n != 0 || !errors.Is(err, want) {
				t.Errorf("it has taken %d bytes, %v", n, err)
			}
		})
	}
}
