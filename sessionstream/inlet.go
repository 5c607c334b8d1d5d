package sessionstream

import (
	"errors"
	"io"
	"slices"
)

// inletBytes is what an inlet reads at once, and the memory that it has; a longer control
// makes it grow.
const inletBytes = 64 << 10

// inlet reads frames as Reader does, many of them with one read, and gives them out where
// they lie: as pieces of their payload, or as they were on the wire. Not safe for
// concurrent use.
type inlet struct {
	r     io.Reader
	buf   []byte // buf[begin:end] was read and not given out yet
	begin int    // at least HeaderBytes, so that a header can be put before what is left of a frame
	end   int
	open  Header // the frame of which a part was given out; Length is what is left of it
}

// newInlet returns an inlet behind the preamble, which it has read. buf is memory of an
// older one, or nil.
func newInlet(r io.Reader, buf []byte) (*inlet, error) {
	in := &inlet{r: r, buf: buf, begin: HeaderBytes, end: HeaderBytes}
	if in.buf == nil {
		in.buf = make([]byte, inletBytes)
	}
	if err := in.need(len(preamble)); err != nil {
		return in, err
	}
	err := checkPreamble(in.buf[in.begin : in.begin+len(preamble)])
	in.begin += len(preamble)
	return in, err
}

// need reads until n bytes are there. The end of the stream before the first of
// them is io.EOF, behind it io.ErrUnexpectedEOF.
func (in *inlet) need(n int) error {
	if in.end-in.begin >= n {
		return nil
	}
	if in.begin+n > len(in.buf) || in.begin == in.end {
		in.end = HeaderBytes + copy(in.buf[HeaderBytes:], in.buf[in.begin:in.end])
		in.begin = HeaderBytes
		if short := in.begin + n - len(in.buf); short > 0 { // bounded: a control's limit was checked
			in.buf = slices.Grow(in.buf, short)[:len(in.buf)+short]
		}
	}
	got, err := io.ReadAtLeast(in.r, in.buf[in.end:], n-(in.end-in.begin))
	in.end += got
	if errors.Is(err, io.EOF) && in.end > in.begin {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns a piece of a frame's payload, at least a byte, or all of a control's. It is
// valid until the next call.
func (in *inlet) next() (Channel, []byte, error) {
	if in.open.Length == 0 {
		if err := in.need(HeaderBytes); err != nil {
			return 0, nil, err
		}
		var err error
		if in.open, err = parseHeader(in.buf[in.begin:]); err != nil {
			return 0, nil, err
		}
		in.begin += HeaderBytes
	}
	least := 1
	if in.open.Channel == ChannelControl {
		least = in.open.Length
	}
	if err := in.need(least); err != nil {
		return 0, nil, unexpected(err)
	}
	piece := in.buf[in.begin:min(in.begin+in.open.Length, in.end)]
	in.begin += len(piece)
	in.open.Length -= len(piece)
	return in.open.Channel, piece, nil
}

// control returns the next frame, which must be a control.
func (in *inlet) control() (Control, error) {
	channel, payload, err := in.next()
	if err != nil {
		return nil, err
	}
	if channel != ChannelControl {
		return nil, errorf(CodeInvalid, "channel %d is not expected now", channel)
	}
	return decodeControl(payload)
}

// frames returns what is there up to the next control, and at least one frame, as frames:
// those that are whole as they have come, and of one of data that has come in part that
// part as a frame. each is called with the payload of each; one for which it fails is left
// out, with all behind it, and the error comes with those before it. What is returned is
// valid until the next call.
func (in *inlet) frames(each func(Channel, []byte) error) ([]byte, error) {
	channel, payload, err := in.next()
	if err != nil {
		return nil, err
	}
	// Before a piece is its header, or the room for it, or what was given out.
	begin := in.begin - len(payload) - HeaderBytes
	for {
		at := in.begin - len(payload) - HeaderBytes
		AppendHeader(in.buf[at:at], channel, len(payload))
		if err := each(channel, payload); err != nil {
			return in.buf[begin:at], err
		}
		if in.open.Length > 0 || !in.ready() {
			return in.buf[begin:in.begin], nil
		}
		if channel, payload, err = in.next(); err != nil {
			return in.buf[begin:in.begin], err
		}
	}
}

// ready reports whether data follow a whole frame, so that next would give them out without
// a read. A control does not follow: whoever waits for the data before it, such as an echo,
// would wait until that has been decoded, too.
func (in *inlet) ready() bool {
	return in.end-in.begin > HeaderBytes && Channel(in.buf[in.begin]) != ChannelControl
}
