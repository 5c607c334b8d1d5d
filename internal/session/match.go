package session

import (
	"bytes"
	"context"
	"errors"

	"banger"
	"banger/internal/linematch"
)

var errMatched = errors.New("a match was found")

// MatchSession implements banger.SessionStreams.
func (s *Streams) MatchSession(ctx context.Context, vmRef, ref string, r banger.MatchRequest) (banger.Match, error) {
	pattern, err := linematch.Compile(r)
	if err != nil {
		return banger.Match{}, err
	}
	x, err := s.finder.session(ctx, vmRef, ref)
	if err != nil {
		return banger.Match{}, err
	}
	if r.Cursor == nil {
		r.Cursor = &banger.LogCursor{}
	}
	search := map[banger.Stream]*linematch.Matcher{
		banger.StreamStdout: linematch.New(pattern, r.Cursor.Stdout),
		banger.StreamStderr: linematch.New(pattern, r.Cursor.Stderr),
	}
	var match banger.Match
	found := func(stream banger.Stream, offset int64, text []byte) error {
		match = banger.Match{Stream: stream, Offset: offset, End: offset + int64(len(text)), Text: bytes.Clone(text)}
		return errMatched
	}
	end, err := s.ReadLogs(ctx, string(x.VMID), string(x.ID), banger.LogRequest{Stream: r.Stream, Cursor: r.Cursor, Follow: true}, func(c banger.LogChunk) error {
		if c.Gap > 0 {
			search[c.Stream].Skip(c.Offset + c.Gap)
			return nil
		}
		if offset, text := search[c.Stream].Take(c.Data); text != nil {
			return found(c.Stream, offset, text)
		}
		return nil
	})
	if err == nil { // the last lines may have no end
		for stream, m := range search {
			if offset, text := m.Finish(); err == nil && text != nil {
				err = found(stream, offset, text)
			}
		}
	}
	switch {
	case errors.Is(err, errMatched):
		match.Next = end.Next.Advance(banger.LogChunk{Stream: match.Stream, Offset: match.End})
		return match, nil
	case err == nil:
		return match, banger.Errorf(banger.CodeState, "cannot find a match of %q: session %q has ended without one", r.Pattern, x.Name)
	}
	return match, err
}
