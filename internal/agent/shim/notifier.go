package shim

import "sync"

// notifier wakes the connections when there is something for them: output, the end of
// the session, a message. Its mutex guards what they look at.
type notifier struct {
	sync.Mutex
	cond *sync.Cond
}

func newNotifier() *notifier {
	n := &notifier{}
	n.cond = sync.NewCond(n)
	return n
}

// announce wakes everybody who waits.
func (n *notifier) announce() {
	n.Lock() // else it could fall between a look and the wait after it
	n.cond.Broadcast()
	n.Unlock()
}
