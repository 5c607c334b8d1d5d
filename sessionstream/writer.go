package sessionstream

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// Writer writes frames, the preamble before the first. It allocates nothing for
// data. After a failure the stream ends within a frame, so every later call
// fails likewise. Safe for concurrent use; a frame is never torn by another.
type Writer struct {
	mu      sync.Mutex // guards everything below
	w       io.Writer
	head    [len(preamble) + headerBytes]byte
	started bool // the preamble has been written
	parts   [2][]byte
	vector  net.Buffers // of parts: one writev(2) per frame on a socket
	err     error
}

// NewWriter returns a writer to w. Deadlines are set on w itself.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// WriteData writes p to a stream's channel, in several frames if it must.
func (w *Writer) WriteData(c Channel, p []byte) error {
	if c == ChannelControl || c.maxPayload() == 0 {
		return fmt.Errorf("cannot write data: channel %d has none", c)
	}
	for len(p) > 0 {
		n := min(len(p), c.maxPayload())
		if err := w.writeFrame(c, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// WriteControl writes a control.
func (w *Writer) WriteControl(c Control) error {
	payload, err := encodeControl(c)
	if err != nil {
		return err
	}
	return w.writeFrame(ChannelControl, payload)
}

// writeFrame writes one frame of at least one byte and of at most the channel's limit.
func (w *Writer) writeFrame(c Channel, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	head := w.head[:0]
	if !w.started {
		head = append(head, preamble...)
	}
	head = append(head, byte(c))
	head = binary.BigEndian.AppendUint32(head, uint32(len(payload)))
	w.parts = [2][]byte{head, payload}
	w.vector = w.parts[:]
	_, w.err = w.vector.WriteTo(w.w)
	w.parts = [2][]byte{}
	w.started = true
	return w.err
}
