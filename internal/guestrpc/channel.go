package guestrpc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Channel carries one JSON-RPC message a line and refuses a line of more than
// MaxMessageBytes before it is held in memory: the other end is a guest. It is
// a channel.Channel of creachadair/jrpc2.
type Channel struct {
	r  *bufio.Reader
	wc io.WriteCloser
}

// NewChannel returns a channel that reads from r and owns wc.
func NewChannel(r io.Reader, wc io.WriteCloser) *Channel {
	return &Channel{r: bufio.NewReaderSize(r, 32<<10), wc: wc}
}

// Send writes one message, which must not hold a newline.
func (c *Channel) Send(msg []byte) error {
	if bytes.IndexByte(msg, '\n') >= 0 {
		return errors.New("cannot send message: it holds a newline")
	}
	_, err := c.wc.Write(append(msg, '\n'))
	return err
}

// Recv reads one message.
func (c *Channel) Recv() ([]byte, error) {
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

// Close closes the writing side.
func (c *Channel) Close() error { return c.wc.Close() }
