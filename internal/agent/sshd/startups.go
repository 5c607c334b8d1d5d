package sshd

import (
	"net"
	"slices"
	"sync"
)

// startups are the connections that have not authenticated yet. Safe for concurrent use.
type startups struct {
	mu    sync.Mutex // guards conns
	conns []net.Conn // oldest first, at most maxStartups
}

// add adds a connection, and returns the one that has to give way to it, nil if there is
// room.
func (s *startups) add(nc net.Conn) (evicted net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == maxStartups {
		evicted = s.conns[0]
		s.conns = slices.Delete(s.conns, 0, 1)
	}
	s.conns = append(s.conns, nc)
	return evicted
}

// remove removes a connection; one that gave way is gone already.
func (s *startups) remove(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = slices.DeleteFunc(s.conns, func(c net.Conn) bool { return c == nc })
}
