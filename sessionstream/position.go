package sessionstream

import "banger"

// position is where the next byte of each output stream belongs.
type position struct{ at banger.LogCursor }

// takeUp begins where the server's answer says, which is where it was asked to.
func (p *position) takeUp(asked *Attach, got *Attached) error {
	if asked.NoOutput {
		return nil
	}
	if got.Output == nil || asked.From != nil && (got.Output.Stdout != asked.From.Stdout || got.Output.Stderr != asked.From.Stderr) {
		return errorf(CodeInvalid, "the server does not begin its output at %v", asked.From)
	}
	p.at = *got.Output
	return nil
}

// data is a message with bytes of output.
func (p *position) data(channel Channel, b []byte) (Message, error) {
	m := Message{Data: b}
	switch channel {
	case ChannelStdout:
		m.Stream, m.Offset = banger.StreamStdout, p.at.Stdout
	case ChannelStderr:
		m.Stream, m.Offset = banger.StreamStderr, p.at.Stderr
	default:
		return Message{}, errorf(CodeInvalid, "the server sent something on channel %d", channel)
	}
	p.at = p.at.Advance(banger.LogChunk{Stream: m.Stream, Offset: m.Offset, Data: b})
	return m, nil
}

// skip continues behind a gap, which begins where output stands.
func (p *position) skip(g *Gap) error {
	at := &p.at.Stdout
	if g.Stream == banger.StreamStderr {
		at = &p.at.Stderr
	}
	if g.From != *at {
		return errorf(CodeInvalid, "the server reports a gap at %d of %s, which stands at %d", g.From, g.Stream, *at)
	}
	*at = g.To
	return nil
}
