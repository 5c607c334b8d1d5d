package session

import (
	"context"
	"sync"

	"banger"
	"banger/sessionstream"
)

// seats says which connection serves each attachment: one at most, the newest that has
// come. Two of them would take the writer's place from each other for ever, and the
// older one's bytes would follow the grant of the newer. Safe for concurrent use.
type seats struct {
	mu    sync.Mutex // guards taken
	taken map[seat]sitter
}

// seat is an attachment's.
type seat struct {
	session    banger.SessionKey
	attachment string
}

// sitter is the connection that has a seat.
type sitter struct {
	number int64
	end    context.CancelCauseFunc
}

// take gives a seat to the connection with a number, unless a newer one has it, and
// ends the one that had it before; end gets the reason, which is for its client.
func (s *seats) take(at seat, number int64, end context.CancelCauseFunc) *sessionstream.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, taken := s.taken[at]
	if taken && last.number > number {
		return replaced()
	}
	if taken {
		last.end(replaced())
	}
	if s.taken == nil {
		s.taken = map[seat]sitter{}
	}
	s.taken[at] = sitter{number: number, end: end}
	return nil
}

// leave frees a seat if the connection with this number still has it.
func (s *seats) leave(at seat, number int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[at].number == number {
		delete(s.taken, at)
	}
}

func replaced() *sessionstream.Error {
	return &sessionstream.Error{Code: sessionstream.CodeReplaced, Text: "a newer connection of the attachment has taken the place of this one"}
}
