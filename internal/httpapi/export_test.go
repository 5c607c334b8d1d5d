package httpapi

import (
	"net/http"
	"time"

	"banger"
)

// NewWithHeartbeat is New with another interval between heartbeats.
func NewWithHeartbeat(s Services, version string, heartbeat time.Duration) http.Handler {
	return newServer(s, version, heartbeat)
}

// Status is the table of HTTP statuses.
func Status(c banger.Code) int { return status(c) }
