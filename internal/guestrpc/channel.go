package guestrpc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"banger"
)

// maxBlobBytes bounds a blob.
const maxBlobBytes = banger.MaxLogPageBytes

// Channel carries one JSON-RPC message a line and refuses a line of more than
// MaxMessageBytes before it is held in memory: the other end is a guest. It is
// a channel.Channel of creachadair/jrpc2.
//
// Between the messages it carries blobs: bytes that belong to an answer and would
// be several times the work as JSON. A blob is a line "#ID SIZE", then so many
// bytes. Who asks for one makes up its id and tells it in the request; the answer
// comes behind the blob. One that nobody expects is thrown away.
//
// Send and the methods for blobs are safe for concurrent use.
type Channel struct {
	r *bufio.Reader

	writing sync.Mutex // held by who writes
	wc      io.WriteCloser

	mu      sync.Mutex       // guards the fields below
	lastID  int64            // of a blob
	awaited map[int64][]byte // nil until it has come
}

// NewChannel returns a channel that reads from r and owns wc.
func NewChannel(r io.Reader, wc io.WriteCloser) *Channel {
	return &Channel{r: bufio.NewReaderSize(r, 32<<10), wc: wc, awaited: map[int64][]byte{}}
}

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

func (c *Channel) readLine() ([]byte, error) {
	var line []byte
	for {
		part, err := c.r.ReadSlice('\n')
		if len(line)+len(part) > MaxMessageBytes {
			return nil, fmt.Errorf("cannot receive message: it has more than %d bytes", MaxMessageBytes)
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
		return fmt.Errorf("cannot receive blob: %q is no header of one", header)
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
