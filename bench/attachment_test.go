package bench

import (
	"testing"

	"banger"
	"banger/sessionstream"
)

// attachment is a conversation with a session.
type attachment struct{ *sessionstream.Attachment }

// attach becomes the writer of a session, until the benchmark ends.
func (p *place) attach(b *testing.B, x banger.Session) attachment {
	b.Helper()
	a := p.as(b, x, sessionstream.RoleWriter)
	b.Cleanup(func() { a.Close() })
	return a
}

// view becomes a viewer of all output of a session, until the caller closes it.
func (p *place) view(b *testing.B, x banger.Session) attachment {
	b.Helper()
	return p.as(b, x, sessionstream.RoleViewer)
}

// startViewed starts a session and becomes a viewer of it with the same.
func (p *place) startViewed(b *testing.B, l banger.Launch) (banger.Session, attachment) {
	b.Helper()
	x, a, err := p.StartAttached(b.Context(), "v", banger.SessionRequest{Launch: l}, sessionstream.Attach{Role: sessionstream.RoleViewer})
	if err != nil {
		b.Fatal(err)
	}
	return x, attachment{a}
}

func (p *place) as(b *testing.B, x banger.Session, role sessionstream.Role) attachment {
	b.Helper()
	a, err := p.Attach(b.Context(), string(x.VMID), string(x.ID), sessionstream.Attach{Role: role, From: &banger.LogCursor{}})
	if err != nil {
		b.Fatal(err)
	}
	return attachment{a}
}

// Read returns the next output, which is cut off if it is longer than buf.
func (a attachment) Read(buf []byte) (int, error) {
	for {
		m, err := a.Receive()
		if err != nil || len(m.Data) > 0 {
			return copy(buf, m.Data), err
		}
	}
}
