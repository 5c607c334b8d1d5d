package client

import (
	"context"

	"banger"
	"banger/api"
)

// WatchEvents implements banger.EventService. It outlasts the daemon: a new
// connection continues after the last revision that was told.
func (c *Client) WatchEvents(ctx context.Context, since int64, fn func(banger.Event) error) error {
	var end error // what ended the watch, of the daemon or of fn
	err := c.resume(ctx, func(alive func()) error {
		return stream(ctx, c, api.WatchEvents, api.WatchEventsRequest{Since: since}, func(line api.EventLine) (done bool) {
			alive()
			switch {
			case line.Error != nil:
				end = line.Error
			case line.Event != nil:
				if line.Kind != api.KindHeartbeat {
					end = fn(*line.Event)
				}
				since = line.Revision
			}
			return end != nil
		})
	})
	if end != nil {
		return end
	}
	return err
}
