package httpapi

import (
	"net/http"
	"time"
)

// NewWithHeartbeat is New with another interval between heartbeats.
func NewWithHeartbeat(s Services, version string, heartbeat time.Duration) http.Handler {
	return newServer(s, version, heartbeat)
}
