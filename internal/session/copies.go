package session

import (
	"context"
	"io"
	"net"
	"sync"
	"time"

	"banger/internal/guestapi"
)

// Copies lets clients copy files to and from VMs.
type Copies struct {
	finder *finder
	reach  *reach
	ctx    context.Context // they end with it
}

// CopyFiles finds a VM and returns what serves one copy on a connection: the protocol of
// package transfer is spoken there. Only a VM that runs can be reached.
//
// serve returns, and has closed conn, when the copy has ended, or ctx has.
func (c *Copies) CopyFiles(ctx context.Context, vmRef string) (serve func(ctx context.Context, conn net.Conn), err error) {
	vm, err := c.finder.vm(ctx, vmRef)
	if err != nil {
		return nil, err
	}
	var guest guestapi.Guest
	if err = c.reach.withGuest(ctx, vm.ID, func(g guestapi.Guest) error { guest = g; return nil }); err != nil {
		return nil, err
	}
	starting, cancel := context.WithTimeout(ctx, copyStart)
	defer cancel()
	files, err := guest.Copy(starting)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, conn net.Conn) { c.relay(ctx, conn, files) }, nil
}

// copyStart is how long a guest may take to start its part of a copy.
const copyStart = 30 * time.Second

// copyBuffer is what a relay holds for each direction.
const copyBuffer = 128 << 10

// relay carries bytes between a client and the guest's part of a copy, until that has said
// its last, or either has gone.
func (c *Copies) relay(ctx context.Context, conn, guest net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closing := context.AfterFunc(c.ctx, cancel)
	defer closing()
	var sending sync.WaitGroup
	defer sending.Wait()
	end := func() { conn.Close(); guest.Close() }
	defer end()
	unblock := context.AfterFunc(ctx, end)
	defer unblock()
	sending.Go(func() {
		_, err := io.CopyBuffer(onlyWriter{guest}, onlyReader{conn}, make([]byte, copyBuffer))
		if half, ok := guest.(interface{ CloseWrite() error }); ok && err == nil {
			err = half.CloseWrite()
		}
		if err != nil {
			guest.Close()
		}
	})
	_, _ = io.CopyBuffer(onlyWriter{conn}, onlyReader{guest}, make([]byte, copyBuffer))
}

// onlyReader and onlyWriter hide what else a connection can do, which would have io.Copy
// choose a smaller buffer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
