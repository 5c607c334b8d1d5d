package sessionstream

import (
	"errors"
	"io"
)

// incoming is what an attachment receives. It belongs to whoever calls Receive.
type incoming struct {
	out   *outgoing // which learns what the server says of what was sent
	lease *lease

	inlet   *inlet    // of the present connection
	failed  error     // of the present connection, behind the frames that were received
	output  position  // over all connections
	pending []Message // to be received before anything that is read
	over    error     // what Receive returns for ever
}

// follow takes a connection into use.
func (in *incoming) follow(next *inlet) { in.inlet, in.failed = next, nil }

// receive reads one message of the present connection.
func (in *incoming) receive() (Message, error) {
	if len(in.pending) > 0 {
		m := in.pending[0]
		in.pending = in.pending[1:]
		return m, nil
	}
	channel, payload, err := in.inlet.next()
	if err != nil {
		return Message{}, err
	}
	if channel != ChannelControl {
		return in.output.data(channel, payload)
	}
	c, err := decodeControl(payload)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnsupported {
		return Message{Control: e}, nil // of a newer server, for whoever knows it
	}
	if err != nil {
		return Message{}, err
	}
	return Message{Control: c}, in.control(c)
}

// receiveFrames reads frames of the present connection.
func (in *incoming) receiveFrames() (frames []byte, err error) {
	for _, m := range in.pending {
		if frames, err = AppendControl(frames, m.Control); err != nil {
			return nil, err
		}
	}
	in.pending = nil
	if err, in.failed = in.failed, nil; err != nil || len(frames) > 0 {
		return frames, err
	}
	frames, err = in.inlet.frames(in.passOn)
	if len(frames) > 0 {
		in.failed, err = err, nil
	}
	return frames, err
}

// passOn takes in a frame that is passed on.
func (in *incoming) passOn(channel Channel, payload []byte) error {
	if in.over != nil {
		return in.over // what comes behind the exit
	}
	if channel != ChannelControl {
		_, err := in.output.data(channel, payload)
		return err
	}
	c, err := decodeControl(payload)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnsupported {
		return nil
	}
	if err != nil {
		return err
	}
	return in.control(c)
}

// control takes in a control of the server.
func (in *incoming) control(c Control) error {
	switch c := c.(type) {
	case *Gap:
		return in.output.skip(c)
	case *StdinAck:
		in.out.stdin.acknowledge(c.Offset, c.EOF)
	case *Granted:
		in.granted(c.Stdin)
	case *Evicted:
		in.out.evict(c)
	case *Exit:
		in.over = io.EOF
		in.out.end(errorf(CodeClosed, "the session has ended"))
	case *Error:
		if c.Fatal() {
			return c
		}
		in.out.stdin.refused(c)
	case *Pong, *Live:
	default:
		return errorf(CodeInvalid, "the server sent %s", c.controlType())
	}
	return nil
}

// granted makes this attachment the writer.
func (in *incoming) granted(g Grant) {
	in.out.grant(g)
	in.lease.begin(g)
}
