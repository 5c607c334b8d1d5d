package httpapi

import (
	"math"

	"banger"
	"banger/api"
)

func (s *server) searchSessions(r *request, out *stream) error {
	request, err := searchRequest(r)
	if err != nil {
		return err
	}
	end, err := s.Streams.SearchSessions(r.Context(), request, func(result banger.SearchResult) error {
		return out.send(api.SearchLine{SearchResult: result})
	})
	if err != nil {
		return err
	}
	return out.send(api.SearchLine{End: &end})
}

func searchRequest(r *request) (banger.SearchRequest, error) {
	request := banger.SearchRequest{
		Pattern: r.query.Get("regex"), VMs: r.query["vm"],
		Status: banger.Status(r.query.Get("status")), Stream: banger.Stream(r.query.Get("stream")),
		Since: r.time("since"), Until: r.time("until"),
	}
	if n := r.int("limit"); n != nil {
		request.Limit = int(min(*n, math.MaxInt))
	}
	var err error
	request.Tags, err = r.tags("tag")
	return request, err
}
