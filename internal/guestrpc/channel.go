package guestrpc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/jsonshape"
)

// maxBlobBytes bounds a blob.
const maxBlobBytes = guestapi.MaxLogPageBytes

// Channel carries one JSON-RPC message a line and refuses a line that is too long before
// it is held in memory. The host's end refuses what is not one plain message, too: the
// other end is a guest, and what the RPC library makes of a line, above all of one that
// it takes for a batch, can be a hundred times the line. It is a channel.Channel of
// creachadair/jrpc2.
//
// Between the messages it carries blobs: bytes that belong to an answer and would
// be several times the work as JSON. A blob is a line "#ID SIZE", then that many
// bytes. Who asks for one makes up its id and sends it in the request; the answer
// comes behind the blob. One that nobody expects is thrown away.
//
// Send and the methods for blobs are safe for concurrent use.
type Channel struct {
	r     *bufio.Reader
	limit int              // bytes of a line
	shape *jsonshape.Shape // of a message; nil: every line is taken

	writing sync.Mutex // held while writing
	wc      io.WriteCloser

	mu      sync.Mutex       // guards the fields below
	lastID  int64            // of a blob
	awaited map[int64][]byte // nil until it has come
}

// NewChannel returns the guest's end of a channel, which reads from r and owns wc.
func NewChannel(r io.Reader, wc io.WriteCloser) *Channel {
	return &Channel{r: bufio.NewReaderSize(r, 32<<10), limit: MaxMessageBytes, wc: wc, awaited: map[int64][]byte{}}
}

// NewHostChannel returns the host's end. Recv fails with a FormError for what no agent
// of ours sends.
func NewHostChannel(r io.Reader, wc io.WriteCloser) *Channel {
	c := NewChannel(r, wc)
	c.limit = guestbudget.MessageBytes
	c.shape = &jsonshape.Shape{
		Values: guestbudget.MessageValues, Depth: guestbudget.MessageDepth, Members: guestbudget.MessageMembers,
	}
	return c
}

// FormError says that what the other end has sent is not a message of this protocol.
type FormError struct{ err error }

func (e *FormError) Error() string { return "cannot receive message: " + e.err.Error() }

// Unwrap returns the cause.
func (e *FormError) Unwrap() error { return e.err }

// Send writes one message, which must not hold a newline.
func (c *Channel) Send(msg []byte) error {
	if bytes.IndexByte(msg, '\n') >= 0 {
		return errors.New("cannot send message: it holds a newline")
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.wc.Write(append(msg, '\n'))
	return err
}

// SendBlob writes one blob; an empty one need not be sent.
func (c *Channel) SendBlob(id int64, data []byte) error {
	if len(data) > maxBlobBytes {
		return fmt.Errorf("cannot send blob: it has more than %d bytes", maxBlobBytes)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := fmt.Fprintf(c.wc, "#%d %d\n", id, len(data)); err != nil {
		return err
	}
	_, err := c.wc.Write(data)
	return err
}

// ExpectBlob makes up the id of a blob and keeps that when it comes, until TakeBlob.
func (c *Channel) ExpectBlob() (id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	c.awaited[c.lastID] = nil
	return c.lastID
}

// TakeBlob returns a blob that has come, nil if it has not, and expects it no more.
func (c *Channel) TakeBlob(id int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	data := c.awaited[id]
	delete(c.awaited, id)
	return data
}

// Recv reads one message, and the blobs before it.
func (c *Channel) Recv() ([]byte, error) {
	for {
		line, err := c.readLine()
		if err != nil {
			return nil, err
		}
		header, isBlob := strings.CutPrefix(string(line[:min(len(line), 64)]), "#")
		if !isBlob {
			return line, nil
		}
		if err := c.recvBlob(header); err != nil {
			return nil, err
		}
	}
}

// readLine reads one line. It is checked as it comes: of one that is refused no more than
// that is held.
func (c *Channel) readLine() ([]byte, error) {
	var line []byte
	check := func([]byte) error { return nil }
	for {
		part, err := c.r.ReadSlice('\n')
		if len(line)+len(part) > c.limit {
			return nil, &FormError{fmt.Errorf("it has more than %d bytes", c.limit)}
		}
		if len(line) == 0 && len(part) > 0 && c.shape != nil && part[0] != '#' {
			if part[0] != '{' {
				return nil, &FormError{jsonshape.ErrNoObject}
			}
			check = c.shape.NewScan().Next
		}
		if err := check(part); err != nil {
			return nil, &FormError{err}
		}
		if len(line)+len(part) > cap(line) {
			line = slices.Grow(line, len(line)+len(part)) // twice as much: append grows in smaller steps, which are garbage
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

func (c *Channel) recvBlob(header string) error {
	first, second, _ := strings.Cut(header, " ")
	id, err1 := strconv.ParseInt(first, 10, 64)
	size, err2 := strconv.Atoi(second)
	if err := errors.Join(err1, err2); err != nil || size < 0 || size > maxBlobBytes {
		return &FormError{fmt.Errorf("%q does not begin a blob", header)}
	}
	c.mu.Lock()
	present, expected := c.awaited[id]
	c.mu.Unlock()
	if !expected || present != nil {
		_, err := c.r.Discard(size)
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, expected = c.awaited[id]; expected {
		c.awaited[id] = data
	}
	return nil
}

// Close closes the writing side.
func (c *Channel) Close() error { return c.wc.Close() }
