package control

import (
	"context"
	"sync"

	"github.com/creachadair/jrpc2"

	"banger/internal/guestapi"
	"banger/internal/guestrpc"
)

// pushes report changes of sessions on the link, once the daemon has said hello. Safe for
// concurrent use.
type pushes struct {
	ctx context.Context // ends with the server

	mu  sync.Mutex    // guards rpc
	rpc *jrpc2.Server // nil before the hello
}

// greet makes rpc push changes from now on.
func (p *pushes) greet(rpc *jrpc2.Server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rpc = rpc
}

// push reports a change. When the link is down there is nobody to report it to: the next
// one begins with a list.
func (p *pushes) push(report guestapi.GuestSession) (reported bool) {
	p.mu.Lock()
	rpc := p.rpc
	p.mu.Unlock()
	return rpc != nil && rpc.Notify(p.ctx, guestrpc.NotifyChanged, report) == nil
}
