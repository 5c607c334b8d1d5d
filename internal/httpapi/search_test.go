package httpapi_test

import (
	"bufio"
	"context"
	"net/http"
	"testing"

	"banger"
	"banger/api"
)

func TestSearch_EveryLineComesAtOnceAndTheEndIsMarked(t *testing.T) {
	r := newRig(t)
	more := make(chan struct{})
	r.fake.OnSearch = func(_ context.Context, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
		if err := fn(banger.SearchResult{Hit: &banger.SearchHit{Line: []byte("\xff\n"), Offset: 7}}); err != nil {
			return banger.SearchEnd{}, err
		}
		<-more
		err := fn(banger.SearchResult{Failure: &banger.SearchFailure{Error: banger.Errorf(banger.CodeUnavailable, "cannot")}})
		return banger.SearchEnd{Lines: 1, Failures: 1}, err
	}
	resp := r.open(t.Context(), "GET", "/v1/search?regex=x", "")
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if got := line[api.SearchLine](t, in); got.Hit == nil || string(got.Hit.Line) != "\xff\n" || got.Hit.Offset != 7 {
		t.Errorf("first line %+v", got)
	}
	close(more) // only now that the first hit has arrived
	if got := line[api.SearchLine](t, in); got.Failure == nil || got.Failure.Error.Code != banger.CodeUnavailable {
		t.Errorf("second line %+v", got)
	}
	if got := line[api.SearchLine](t, in); got.End == nil || got.End.Failures != 1 {
		t.Errorf("last line %+v", got)
	}
}

func TestSearch_EndsWithItsClient(t *testing.T) {
	r := newRig(t)
	ended := make(chan error, 1)
	r.fake.OnSearch = func(ctx context.Context, fn func(banger.SearchResult) error) (banger.SearchEnd, error) {
		err := fn(banger.SearchResult{Hit: &banger.SearchHit{}})
		<-ctx.Done() // nothing more is found
		ended <- err
		return banger.SearchEnd{}, ctx.Err()
	}
	resp := r.open(t.Context(), "GET", "/v1/search?regex=x", "")
	line[api.SearchLine](t, bufio.NewReader(resp.Body))
	resp.Body.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestSearch_ParametersThatCannotBeAreRefused(t *testing.T) {
	r := newRig(t)
	for _, query := range []string{"since=yesterday", "until=1", "limit=x", "tag=a"} {
		status, answer := r.do("GET", "/v1/search?regex=x&"+query, "")
		r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, "cannot use")
	}
	status, answer := r.do("GET", logsPath+"?since=2026-01-02T03:04:05Z&lines=3", "")
	r.wantError(status, answer, http.StatusBadRequest, banger.CodeInvalid, "since and lines")
}
