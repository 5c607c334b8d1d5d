package cli

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// noticeAfter is how long a connection may be lost before the user is notified.
const noticeAfter = 2 * time.Second

// lostNotice notifies the user of a lost connection if it does not come back soon. Safe for
// concurrent use.
type lostNotice struct {
	to      io.Writer
	session string

	mu    sync.Mutex  // guards timer
	timer *time.Timer // until the user is notified; nil while there is a connection
}

// begin takes in that the connection is lost.
func (n *lostNotice) begin(error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer == nil {
		n.timer = time.AfterFunc(noticeAfter, func() {
			fmt.Fprintf(n.to, "banger: lost connection to session %s; reconnecting\r\n", safe(n.session))
		})
	}
}

// end takes in that there is a connection again, or that nobody waits for one.
func (n *lostNotice) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}
