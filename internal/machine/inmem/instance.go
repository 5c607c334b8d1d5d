package inmem

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	"sync"

	"banger/internal/vmm"
)

// instance is one machine, which its handles share.
type instance struct {
	id       string
	spec     vmm.MachineSpec
	listener net.Listener
	ready    chan struct{} // closed when the guest is ready
	done     chan struct{} // closed when nothing is left
	off      bool          // the guest powered off; set before done is closed
	button   chan struct{} // has room for one press of the power button
	leave    chan struct{} // has room for one decision of the guest's own to power off

	alive  context.Context // ends when the machine begins to end
	stop   context.CancelFunc
	guests sync.WaitGroup // what runs in the guest

	mu     sync.Mutex // guards the fields below
	conns  map[net.Conn]bool
	guest  Guest
	pause  vmm.PauseStatus
	paused chan struct{} // closed and replaced at each change of pause
}

func newInstance(spec vmm.MachineSpec, l net.Listener) *instance {
	i := &instance{
		id: rand.Text(), spec: spec, listener: l,
		ready: make(chan struct{}), done: make(chan struct{}), button: make(chan struct{}, 1), leave: make(chan struct{}, 1),
		conns: make(map[net.Conn]bool), paused: make(chan struct{}),
	}
	i.alive, i.stop = context.WithCancel(context.Background())
	return i
}

func (i *instance) ref() json.RawMessage {
	data, err := json.Marshal(ref{refVersion, i.id})
	if err != nil {
		panic("inmem: a ref cannot be marshalled: " + err.Error())
	}
	return data
}

// run starts the guest, and the goroutine that ends with the machine.
func (i *instance) run(g Guest) {
	i.guest = g
	i.guests.Go(func() { i.boot(g) })
	go func() {
		defer close(i.done)
		i.off = i.untilPoweredOff(g)
		i.stop()
		i.listener.Close()
		i.closeConns()
		i.guests.Wait()
	}()
}

func (i *instance) boot(g Guest) {
	if g.Boot != nil && g.Boot(i.alive, i.spec) != nil {
		i.stop()
		return
	}
	close(i.ready)
	for {
		conn, err := i.listener.Accept()
		if err != nil || !i.track(conn) {
			return
		}
		i.guests.Go(func() {
			defer i.untrack(conn)
			g.Serve(i.spec, conn)
		})
	}
}

// untilPoweredOff returns true when the guest powered off, by itself or obeying the power
// button, false when the machine was ended otherwise.
func (i *instance) untilPoweredOff(g Guest) bool {
	for {
		select {
		case <-i.alive.Done():
			return false
		case <-i.leave:
			return true
		case <-i.button:
			if g.PowerButton == nil || g.PowerButton(i.spec) {
				return true
			}
		}
	}
}

func (i *instance) setPause(status vmm.PauseStatus) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pause = status
	close(i.paused)
	i.paused = make(chan struct{})
}

func (i *instance) pauseNow() (vmm.PauseStatus, <-chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.pause, i.paused
}

func (i *instance) hasEnded() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}

// end ends the machine and waits for it.
func (i *instance) end() {
	i.stop()
	<-i.done
}

// track remembers a connection, unless the machine has ended; it is then closed.
func (i *instance) track(conn net.Conn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.alive.Err() != nil {
		conn.Close()
		return false
	}
	i.conns[conn] = true
	return true
}

func (i *instance) untrack(conn net.Conn) {
	conn.Close()
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.conns, conn)
}

func (i *instance) closeConns() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for conn := range i.conns {
		conn.Close()
	}
}
