package client

import (
	"context"

	"banger"
	"banger/api"
)

// SearchSessions implements banger.SessionStreams. It ends with the connection.
func (c *Client) SearchSessions(ctx context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (end banger.SearchEnd, err error) {
	var failed error // what ended the search, of the daemon or of fn
	err = stream(ctx, c, api.SearchSessions, r, func(line api.SearchLine) (done bool) {
		switch {
		case line.Error != nil:
			failed = line.Error
		case line.End != nil:
			end = *line.End
		case line.Hit != nil || line.Failure != nil:
			failed = fn(line.SearchResult)
		}
		return line.End != nil || failed != nil
	})
	if failed != nil {
		err = failed
	}
	return end, err
}
