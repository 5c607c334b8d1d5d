package process

import (
	"bytes"
	"sync"
)

// Head keeps the first Limit bytes of an output, which may be long or have no end, and
// drops the rest: a writer never waits and gets no error. Safe for concurrent use.
type Head struct {
	Limit int // set before the first use

	mu   sync.Mutex // guards kept
	kept []byte
}

// Write implements io.Writer.
func (h *Head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p[:min(len(p), h.Limit-len(h.kept))]...)
	return len(p), nil
}

// Bytes returns a copy of what is kept.
func (h *Head) Bytes() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.kept)
}
