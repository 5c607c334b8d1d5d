package sessionstream

import (
	"context"
	"net"
)

// UpgradeToken names this format where an HTTP connection becomes one of it: in the header
// Upgrade (RFC 9110, section 7.8), and as the subprotocol of a WebSocket (RFC 6455).
const UpgradeToken = "banger-sessionstream"

// Dialer opens connections to the streams of sessions; banger's Go client is one.
type Dialer interface {
	// DialSession returns a connection on which this package is spoken, for a Config.Dial.
	// vm and session are refs. The caller closes it; the end of ctx after it was returned
	// has no effect on it.
	DialSession(ctx context.Context, vm, session string) (net.Conn, error)
}
