package client

import (
	"context"
	"strconv"

	"banger"
	"banger/api"
)

// SearchSessions implements banger.SessionStreams. It ends with the connection.
func (c *Client) SearchSessions(ctx context.Context, r banger.SearchRequest, fn func(banger.SearchResult) error) (end banger.SearchEnd, err error) {
	var failed error // what ended the search, of the daemon or of fn
	err = stream(ctx, c, searchRequest(r), func(line api.SearchLine) (done bool) {
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

func searchRequest(r banger.SearchRequest) request {
	q := get("/v1/search")
	q.query.Set("regex", r.Pattern)
	for _, vm := range r.VMs {
		q.query.Add("vm", vm)
	}
	if r.Status != "" {
		q.query.Set("status", string(r.Status))
	}
	setTags(q.query, r.Tags)
	if r.Stream != "" {
		q.query.Set("stream", string(r.Stream))
	}
	setTime(q.query, "since", r.Since)
	setTime(q.query, "until", r.Until)
	if r.Limit != 0 {
		q.query.Set("limit", strconv.Itoa(r.Limit))
	}
	return q
}
