package guestrpc

import (
	"fmt"
	"time"

	"banger"
	"banger/internal/guestapi"
)

// LogRead are the parameters of MethodReadLog.
type LogRead struct {
	guestapi.GuestLogRead
	Blob int64 `json:"blob"` // the id of that with the bytes of the page
}

// LogPage is the result of MethodReadLog: a guestapi.GuestLogPage whose bytes are in
// a blob.
type LogPage struct {
	Begin  banger.LogCursor `json:"begin"`
	Pieces []LogPiece       `json:"pieces"` // in the order of the blob
	Next   banger.LogCursor `json:"next"`
	AtEnd  bool             `json:"at_end"`
	Ended  bool             `json:"ended"`
}

// LogPiece is a banger.LogChunk without its bytes.
type LogPiece struct {
	Stream banger.Stream `json:"stream"`
	Offset int64         `json:"offset"`
	Time   time.Time     `json:"time,omitzero"`
	Size   int           `json:"size"`
	Gap    int64         `json:"gap,omitempty"`
	Reason string        `json:"reason,omitempty"`
}

// SplitPage takes the bytes out of a page.
func SplitPage(p guestapi.GuestLogPage) (page LogPage, blob []byte) {
	page = LogPage{Begin: p.Begin, Pieces: make([]LogPiece, len(p.Chunks)), Next: p.Next, AtEnd: p.AtEnd, Ended: p.Ended}
	for i, c := range p.Chunks {
		page.Pieces[i] = LogPiece{Stream: c.Stream, Offset: c.Offset, Time: c.Time, Size: len(c.Data), Gap: c.Gap, Reason: c.Reason}
		blob = append(blob, c.Data...)
	}
	return page, blob
}

// Join puts them back, which must be as many as it says. The page holds blob.
func (p LogPage) Join(blob []byte) (guestapi.GuestLogPage, error) {
	page := guestapi.GuestLogPage{Begin: p.Begin, Chunks: make([]banger.LogChunk, len(p.Pieces)), Next: p.Next, AtEnd: p.AtEnd, Ended: p.Ended}
	for i, piece := range p.Pieces {
		if piece.Size < 0 || piece.Size > len(blob) {
			return page, fmt.Errorf("a piece of %d bytes is not in its blob", piece.Size)
		}
		page.Chunks[i] = banger.LogChunk{
			Stream: piece.Stream, Offset: piece.Offset, Time: piece.Time, Data: blob[:piece.Size:piece.Size], Gap: piece.Gap, Reason: piece.Reason,
		}
		blob = blob[piece.Size:]
	}
	if len(blob) > 0 {
		return page, fmt.Errorf("its blob has %d bytes too many", len(blob))
	}
	return page, nil
}
