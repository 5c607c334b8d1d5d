// Package firstbytes keeps the beginning of an output that may be long, or have no
// end.
package firstbytes

import (
	"bytes"
	"sync"
)

// Writer keeps the first Limit bytes that are written to it and drops the rest: who
// writes is never held up and gets no error. Safe for concurrent use.
type Writer struct {
	Limit int // set before the first use

	mu   sync.Mutex // guards kept
	kept []byte
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, p[:min(len(p), w.Limit-len(w.kept))]...)
	return len(p), nil
}

// Bytes returns a copy of what is kept.
func (w *Writer) Bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.kept)
}
