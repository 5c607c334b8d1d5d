package httpapi

import (
	"net"
	"net/http"
	"time"

	"banger"
)

// NewWithHeartbeat is New with another interval between heartbeats.
func NewWithHeartbeat(s Services, version string, heartbeat time.Duration) http.Handler {
	return newServer(s, version, heartbeat)
}

// ForUser makes a listener of Listen accept another user instead of this one.
func ForUser(l net.Listener, uid uint32) net.Listener {
	return &listener{UnixListener: l.(*listener).UnixListener, uid: uid}
}

// Status is the table of HTTP statuses.
func Status(c banger.Code) int { return status(c) }
