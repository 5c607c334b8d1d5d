package cli

import (
	"bytes"
	"io"
	"sync"
	"time"

	"banger/sessionstream"
)

// keyTimeout is how long the bytes of one key may be apart.
const keyTimeout = 100 * time.Millisecond

// input is our stdin, which is read for the session over all rounds: nothing can wake
// whoever reads it. Safe for concurrent use.
type input struct {
	attachOptions
	from     io.Reader
	terminal *terminal // that from is; nil if it is not lent

	writes sync.Mutex // held while writing to an attachment

	mu      sync.Mutex // guards everything below
	round   *round     // the present one, or the last
	reading bool       // a goroutine reads from
	kept    []byte     // what it has read and no attachment has taken
}

// follow gives what is read to another round.
func (in *input) follow(r *round) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.round = r
}

// present returns the round that our stdin goes to.
func (in *input) present() *round {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.round
}

// feed begins to read our stdin for the session.
func (in *input) feed() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.noStdin && !in.reading {
		in.reading = true
		go in.read(in.kept)
		in.kept = nil
	}
}

// write gives the session what was read of our stdin, over the next attachment if the
// present one takes no more. It reports false if there is none: then what is left is kept
// for it, and the receiving side knows why.
func (in *input) write(p []byte) bool {
	for len(p) > 0 {
		r := in.present()
		in.writes.Lock()
		n, err := r.attachment.Write(p)
		in.writes.Unlock()
		if p = p[n:]; err != nil && in.keep(r, p) {
			return false
		}
	}
	return true
}

// keep keeps what the attachment of a round does not take any more, and reports false if
// there is another one that may.
func (in *input) keep(r *round, p []byte) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.round != r {
		return false
	}
	in.reading, in.kept = false, bytes.Clone(p)
	return true
}

// waiting counts the bytes that were read and no attachment has taken.
func (in *input) waiting() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.kept)
}

// lost ends an attachment and counts the bytes of our stdin that were given to it and
// that the session is not known to have accepted.
func (in *input) lost(x *sessionstream.Attachment) int {
	x.Close()
	in.writes.Lock() // the last write has ended
	defer in.writes.Unlock()
	return x.Unaccepted()
}

// read feeds the session with our stdin until that ends or the detach keys
// are typed. Of a viewer, all other keys are ignored. kept was read before.
func (in *input) read(kept []byte) {
	defer in.terminal.guard()
	if !in.write(kept) {
		return
	}
	var keys keyFilter
	if in.terminal != nil {
		keys.keys = in.detachKeys
	}
	buffer := make([]byte, 32<<10)
	for {
		var pass []byte
		var err error
		detach := false
		if keys.incomplete() && !in.terminal.typedWithin(keyTimeout) {
			pass = keys.flush()
		} else {
			var n int
			n, err = in.from.Read(buffer)
			pass, detach = keys.filter(buffer[:n])
		}
		if !in.view && !in.write(pass) {
			return
		}
		r := in.present()
		switch {
		case detach, err != nil && in.terminal != nil: // a terminal that is gone
			r.leave()
			return
		case err != nil && in.eof:
			_ = r.attachment.CloseStdin()
			return
		case err != nil:
			return
		}
	}
}
