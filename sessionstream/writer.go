package sessionstream

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
)

// smallFrame is up to where a frame is copied so that one write takes it whole: a
// connection may have no writev(2), and send a packet for each write.
const smallFrame = 512

// Writer writes frames, the preamble before the first. It allocates nothing for
// data. After a failure the stream ends within a frame, so every later call
// fails likewise. Safe for concurrent use; a frame is never torn by another.
type Writer struct {
	mu       sync.Mutex // guards everything below
	w        io.Writer
	preamble []byte // nil when it has been written
	header   [HeaderBytes]byte
	scratch  [smallFrame]byte
	parts    [2][]byte
	vector   net.Buffers // of parts: one writev(2) per frame on a socket
	err      error
}

// NewWriter returns a writer to w. Deadlines are set on w itself.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w, preamble: []byte(preamble)} }

// WriteData writes p to a stream's channel, in several frames if it must.
func (w *Writer) WriteData(c Channel, p []byte) error {
	if c == ChannelControl || c.maxPayload() == 0 {
		return fmt.Errorf("cannot write data: channel %d carries none", c)
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

// AppendHeader appends the header of a frame to b; its n bytes of payload, at
// least one and at most the channel's limit, are for the caller to append.
func AppendHeader(b []byte, c Channel, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, byte(c)), uint32(n))
}

// AppendControl appends the frame of a control to b.
func AppendControl(b []byte, c Control) ([]byte, error) {
	payload, err := encodeControl(c)
	if err != nil {
		return b, err
	}
	return append(AppendHeader(b, ChannelControl, len(payload)), payload...), nil
}

// WriteFrames writes whole frames that were made with AppendHeader and AppendControl.
func (w *Writer) WriteFrames(frames []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(nil, frames)
}

// writeFrame writes one frame of at least one byte and of at most the channel's limit.
func (w *Writer) writeFrame(c Channel, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.write(AppendHeader(w.header[:0], c, len(payload)), payload)
}

// write writes a header, if any, and what follows it, in one call where both are
// small. The caller holds mu.
func (w *Writer) write(header, payload []byte) error {
	if w.err != nil {
		return w.err
	}
	head := append(append(w.scratch[:0], w.preamble...), header...)
	w.preamble = nil
	switch {
	case len(head) == 0:
		_, w.err = w.w.Write(payload)
	case len(head)+len(payload) <= len(w.scratch):
		_, w.err = w.w.Write(append(head, payload...))
	default:
		w.parts = [2][]byte{head, payload}
		w.vector = w.parts[:]
		_, w.err = w.vector.WriteTo(w.w)
		w.parts = [2][]byte{}
	}
	return w.err
}
