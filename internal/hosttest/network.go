package hosttest

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Network is what lies between a client and a server, at first nothing. It carries
// bytes as TCP over such a network does: in order, and late. It is made of goroutines,
// since not every kernel has netem.
type Network struct {
	mu     sync.Mutex // guards the fields below
	shape  Shape
	closed chan struct{}
}

// Shape is what a network is like.
type Shape struct {
	Delay time.Duration // one way
	// BytesPerSecond bounds each direction of each connection; 0: no bound.
	BytesPerSecond int
	// Loss is the share of packets that have to be sent again, which holds up all
	// behind them.
	Loss float64
}

// Become changes the network for what is sent from now on.
func (n *Network) Become(s Shape) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shape = s
}

func (n *Network) now() Shape {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shape
}

// packetBytes is how much a packet carries.
const packetBytes = 1400

// resendAfter is what TCP waits at least before it sends again.
const resendAfter = 200 * time.Millisecond

// Through returns the server's end of a connection that goes through the network.
// What it is given it owns.
func (n *Network) Through(conn net.Conn) net.Conn {
	near, far := net.Pipe()
	go n.carry(near, conn)
	go n.carry(conn, near)
	return far
}

// BlackHole stops everything that is on its way, until open is called.
func (n *Network) BlackHole() (open func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	hole := make(chan struct{})
	n.closed = hole
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.closed = nil
		close(hole)
	}
}

// blocked returns a channel that is closed when there is no black hole any more, nil if
// there is none.
func (n *Network) blocked() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// packet is some bytes and when they arrive.
type packet struct {
	data []byte
	at   time.Time
}

// carry takes bytes from one side to the other until either ends.
func (n *Network) carry(from, to net.Conn) {
	const window = 256 // packets on their way
	way := make(chan packet, window)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer to.Close()
		for p := range way {
			time.Sleep(time.Until(p.at))
			if hole := n.blocked(); hole != nil {
				<-hole
			}
			if _, err := to.Write(p.data); err != nil {
				from.Close()
				for range way {
				}
				return
			}
		}
	}()
	defer func() { close(way); <-done; from.Close() }()
	sentUntil, last := time.Now(), time.Now()
	for {
		buf := make([]byte, packetBytes)
		size, err := from.Read(buf)
		if size > 0 {
			shape := n.now()
			sentUntil = later(sentUntil, time.Now())
			if shape.BytesPerSecond > 0 {
				sentUntil = sentUntil.Add(time.Duration(size) * time.Second / time.Duration(shape.BytesPerSecond))
			}
			at := sentUntil.Add(shape.Delay)
			if rand.Float64() < shape.Loss {
				at = at.Add(resendAfter + 2*shape.Delay)
			}
			last = later(at, last) // nothing overtakes
			way <- packet{buf[:size], last}
		}
		if err != nil {
			return
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
