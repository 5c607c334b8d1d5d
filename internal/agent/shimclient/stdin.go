package shimclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"banger"
	"banger/sessionstream"
)

// tellTimeout is how long a shim may take to say what it accepted of a write
// that was given up.
const tellTimeout = 2 * time.Second

// WriteStdin feeds data to the stdin of the session whose folder is dir, then
// closes it if eof is set. Offset is as in banger.SendRequest. It blocks while
// the command does not read. The result is what the session has accepted, with
// an error too; if ctx ends, the write is cut and the result is still exact. A
// refusal is CodeState.
func WriteStdin(ctx context.Context, dir string, offset *int64, data []byte, eof bool) (banger.SendResult, error) {
	c, err := Dial(dir)
	if err != nil {
		return banger.SendResult{}, err
	}
	defer c.Close()
	// What ends is our sending only: the answer to it is still awaited.
	defer context.AfterFunc(ctx, func() {
		c.net.SetDeadline(time.Now().Add(tellTimeout))
		_ = c.net.CloseWrite()
	})()
	result, err := c.writeStdin(offset, data, eof)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("cannot write to stdin: %w", context.Cause(ctx))
	}
	return result, err
}

func (c *Conn) writeStdin(offset *int64, data []byte, eof bool) (banger.SendResult, error) {
	var result banger.SendResult
	sent, sendErr := c.sendStdin(offset, data, eof)
	for {
		m, err := c.reader.ReadControl()
		if err != nil {
			return result, fmt.Errorf("cannot write to stdin: %w: %w", ErrLost, errors.Join(err, sendErr))
		}
		switch m := m.(type) {
		case *sessionstream.Attached:
			result = banger.SendResult{Offset: m.State.StdinOffset, EOF: m.State.StdinEOF}
		case *sessionstream.StdinAck:
			result = banger.SendResult{Offset: m.Offset, EOF: m.EOF}
			sent--
		case *sessionstream.Error:
			if m.Offset != nil {
				result.Offset = *m.Offset
			}
			result.EOF = result.EOF || m.Code == sessionstream.CodeClosed
			return result, refusal("write to stdin", m)
		}
		if sent == 0 && sendErr == nil {
			return result, nil
		}
	}
}

// sendStdin sends everything and returns how many answers are to come.
func (c *Conn) sendStdin(offset *int64, data []byte, eof bool) (frames int, err error) {
	if err := c.writer.WriteControl(&sessionstream.Attach{Role: sessionstream.RoleStdin, StdinOffset: offset}); err != nil {
		return 0, err
	}
	if err := c.writer.WriteData(sessionstream.ChannelStdin, data); err != nil {
		return 0, err
	}
	frames = (len(data) + sessionstream.MaxStdinPayload - 1) / sessionstream.MaxStdinPayload
	if !eof {
		return frames, nil
	}
	end := &sessionstream.EOF{}
	if offset != nil {
		at := *offset + int64(len(data))
		end.Offset = &at
	}
	return frames + 1, c.writer.WriteControl(end)
}
