package transfer

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// kind says what a frame is.
type kind byte

// The kinds of frames. The payloads of those in capitals are JSON.
const (
	frameRequest  kind = 'Q' // Request, of the client
	frameAnswer   kind = 'A' // Answer, of the server
	frameGo       kind = 'G' // Have, of a client that receives: the sender may begin
	frameDir      kind = 'd' // Entry: the directory is entered
	frameUp       kind = 'u' // the directory is left
	frameFile     kind = 'f' // Entry: its bytes and its check follow
	frameBytes    kind = 'b' // the next bytes of the file
	frameHole     kind = 'h' // uvarint: so many zeros, for which there is no room needed
	frameCheck    kind = 'c' // the digest of the file, 8 bytes; or why it is none, a text behind 8 zeros
	frameSymlink  kind = 's' // Entry
	frameHardlink kind = 'l' // Entry: another name of the file with its Link
	frameProblem  kind = 'p' // Problem: an entry of this directory that cannot be sent
	frameEnd      kind = 'E' // End, of the sender: that was all
	frameResult   kind = 'R' // Result, of a server that receives
)

const (
	headerBytes = 5
	// maxFrameBytes bounds a payload: an entry with all its extended attributes, XATTR_SIZE_MAX
	// of xattr(7), has less.
	maxFrameBytes = 256 << 10
	// chunkBytes is what a sender puts into one frame.
	chunkBytes = 128 << 10
)

// errProtocol says that the other end does not speak this protocol, or breaks its rules.
var errProtocol = errors.New("the other side breaks the protocol")

// frames reads and writes frames. One goroutine may read and another one write.
type frames struct {
	r       *bufio.Reader
	w       *bufio.Writer
	head    [headerBytes]byte // of what is read
	payload []byte            // of the last frame that was read
	out     [headerBytes]byte
}

func newFrames(conn io.ReadWriter) *frames {
	return &frames{r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
}

// read returns the next frame; its payload is valid until the next call. A connection that
// ends is io.ErrUnexpectedEOF.
func (f *frames) read() (kind, []byte, error) {
	if _, err := io.ReadFull(f.r, f.head[:]); err != nil {
		return 0, nil, cutOff(err)
	}
	size := binary.BigEndian.Uint32(f.head[1:])
	if size > maxFrameBytes {
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes", errProtocol, size)
	}
	if int(size) > cap(f.payload) {
		f.payload = make([]byte, max(size, 4096))
	}
	payload := f.payload[:size]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return 0, nil, cutOff(err)
	}
	return kind(f.head[0]), payload, nil
}

// lostError is a connection that has ended before the copy did.
type lostError struct{ error }

// Unwrap returns the cause.
func (e lostError) Unwrap() error { return e.error }

func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return lostError{err}
}

// write buffers a frame, whose payload may come in parts.
func (f *frames) write(k kind, payload ...[]byte) error {
	size := 0
	for _, p := range payload {
		size += len(p)
	}
	f.out[0] = byte(k)
	binary.BigEndian.PutUint32(f.out[1:], uint32(size))
	_, err := f.w.Write(f.out[:])
	for _, p := range payload {
		if err == nil {
			_, err = f.w.Write(p)
		}
	}
	return err
}

func (f *frames) flush() error { return f.w.Flush() }

// say sends a JSON frame at once.
func (f *frames) say(k kind, v any) error {
	data, err := json.Marshal(v)
	if err == nil && len(data) > maxFrameBytes {
		err = fmt.Errorf("a message of %d bytes is too long", len(data))
	}
	if err == nil {
		err = f.write(k, data)
	}
	if err == nil {
		err = f.flush()
	}
	return err
}

// hear reads a JSON frame of one kind.
func (f *frames) hear(want kind, v any) error {
	k, payload, err := f.read()
	if err != nil {
		return err
	}
	if k != want {
		return fmt.Errorf("%w: a frame %q instead of %q", errProtocol, byte(k), byte(want))
	}
	return parse(payload, v)
}

func parse(payload []byte, v any) error {
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	return nil
}
