package sessionstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Header begins a frame.
type Header struct {
	Channel Channel
	Length  int // of the payload in bytes, at least 1
}

// Reader reads frames. It allocates nothing for data and reads nothing ahead:
// where small frames come often, give it a bufio.Reader. What the peer must not
// send is an *Error, which the caller may send back; only after CodeUnsupported
// can it read on. For one goroutine at a time.
type Reader struct {
	r        io.Reader
	started  bool // the preamble has been read
	frame    Header
	left     int // of the frame's payload
	scratch  [len(preamble)]byte
	fatalErr error
}

// NewReader returns a reader that expects the preamble first.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next goes to the next frame and drops what was not read of the one before.
// Between two frames the end of the stream is io.EOF, within one
// io.ErrUnexpectedEOF.
func (r *Reader) Next() (Header, error) {
	if r.fatalErr == nil {
		r.fatalErr = r.next()
	}
	if r.fatalErr != nil {
		r.left = 0
		return Header{}, r.fatalErr
	}
	return r.frame, nil
}

func (r *Reader) next() error {
	if !r.started {
		if err := r.readPreamble(); err != nil {
			return err
		}
		r.started = true
	}
	if r.left > 0 {
		if _, err := io.CopyN(io.Discard, r.r, int64(r.left)); err != nil {
			return unexpected(err)
		}
		r.left = 0
	}
	header := r.scratch[:HeaderBytes]
	if _, err := io.ReadFull(r.r, header); err != nil {
		return err
	}
	frame, err := parseHeader(header)
	if err != nil {
		return err
	}
	r.frame, r.left = frame, frame.Length
	return nil
}

// parseHeader reads the HeaderBytes at the beginning of b.
func parseHeader(b []byte) (Header, error) {
	channel, length := Channel(b[0]), binary.BigEndian.Uint32(b[1:])
	limit := channel.maxPayload()
	switch {
	case limit == 0:
		return Header{}, errorf(CodeInvalid, "there is no channel %d", channel)
	case length == 0:
		return Header{}, errorf(CodeInvalid, "a frame on channel %d is empty", channel)
	case length > uint32(limit):
		return Header{}, errorf(CodeInvalid, "a frame on channel %d has %d bytes; at most %d are allowed", channel, length, limit)
	}
	return Header{Channel: channel, Length: int(length)}, nil
}

func (r *Reader) readPreamble() error {
	got := r.scratch[:]
	if _, err := io.ReadFull(r.r, got); err != nil {
		return err
	}
	return checkPreamble(got)
}

func checkPreamble(got []byte) error {
	const magic = len(preamble) - 1
	switch {
	case string(got[:magic]) != preamble[:magic]:
		return errorf(CodeInvalid, "the preamble is not that of sessionstream")
	case got[magic] != Version:
		return errorf(CodeVersion, "version %d is not spoken here, only %d", got[magic], Version)
	}
	return nil
}

// Read reads from the payload of the current frame; io.EOF is its end.
func (r *Reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if len(p) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.left -= n
	if n > 0 || err == nil {
		return n, nil // a lasting error comes back with the next Read
	}
	r.fatalErr = unexpected(err)
	return 0, r.fatalErr
}

// Control reads the current frame, which must be on ChannelControl. A control of
// a type that this version does not know is CodeUnsupported; the stream continues
// after it.
func (r *Reader) Control() (Control, error) {
	if r.frame.Channel != ChannelControl {
		return nil, fmt.Errorf("cannot read control: the frame is on channel %d", r.frame.Channel)
	}
	payload := make([]byte, r.left)
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, err
	}
	c, err := decodeControl(payload)
	if e, ok := errors.AsType[*Error](err); ok && e.Code != CodeUnsupported {
		r.fatalErr = err
	}
	return c, err
}

// ReadControl reads the next frame, which must be a control.
func (r *Reader) ReadControl() (Control, error) {
	h, err := r.Next()
	if err != nil {
		return nil, err
	}
	if h.Channel != ChannelControl {
		r.fatalErr = errorf(CodeInvalid, "channel %d is not expected now", h.Channel)
		return nil, r.fatalErr
	}
	return r.Control()
}

// unexpected turns the end of the stream within a frame into an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
