package sessionstream

import (
	"context"
	"net"

	"banger"
	"banger/internal/localsocket"
)

// Attacher makes ways to sessions; banger's daemon and its Go client are ones.
type Attacher interface {
	AttachSession(ctx context.Context, vm, session string, r banger.AttachRequest) (banger.AttachInfo, error)
}

// DialSession returns a Config.Dial that asks for a new way each time. vm and
// session are refs: what they mean at the first time is what is attached to. attachID
// is that of Config.Attach.
func DialSession(a Attacher, vm, session, attachID string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		info, err := a.AttachSession(ctx, vm, session, banger.AttachRequest{AttachID: attachID})
		if err != nil {
			return nil, err
		}
		vm, session = string(info.VMID), string(info.SessionID)
		if info.TransportKind != banger.TransportUnix || info.StreamFormat != banger.StreamFormatOne {
			return nil, banger.Errorf(banger.CodeMismatch, "cannot attach to session %s: format %q over transport %q is not known here",
				session, info.StreamFormat, info.TransportKind)
		}
		conn, err := localsocket.Dial(ctx, info.SocketPath)
		if err != nil {
			return nil, banger.Errorf(banger.CodeUnavailable, "cannot attach to session %s: %w", session, err)
		}
		return conn, nil
	}
}
