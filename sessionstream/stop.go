package sessionstream

import (
	"time"

	"banger"
)

// Grace returns the time until every process is killed, 0 if that is at once.
func (c *Stop) Grace() time.Duration {
	if c.GraceMS == nil {
		return banger.DefaultStopGrace
	}
	return time.Duration(*c.GraceMS) * time.Millisecond
}
