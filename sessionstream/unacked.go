package sessionstream

import "bytes"

// unacked is what was written to stdin and is not known to be accepted, with the end of
// stdin if that was asked for. Its owner's lock guards it.
type unacked struct {
	limit int64  // bytes that may wait for their acknowledgement
	from  int64  // the position of data in stdin: all before it was accepted
	data  []byte // the bytes that wait
	end   *EOF   // the end of stdin: asked for, and not answered yet
	endAt int64  // where it stands between the bytes of data
}

// position is that of the next byte that is written.
func (u *unacked) position() int64 { return u.from + int64(len(u.data)) }

// room is how many bytes may be added, less than one if there is none.
func (u *unacked) room() int64 { return u.limit - int64(len(u.data)) }

// add notes bytes that are sent.
func (u *unacked) add(p []byte) { u.data = append(u.data, p...) }

// finish notes that stdin ends behind what was written.
func (u *unacked) finish(end EOF) {
	u.endAt = u.position()
	if end.Offset == nil {
		end.Offset = new(u.endAt) // the next connection must not take it for another place
	}
	u.end = &end
}

// accept forgets what was accepted, which is all up to a position.
func (u *unacked) accept(to int64) {
	if n := min(to-u.from, int64(len(u.data))); n > 0 {
		u.data = append(u.data[:0], u.data[n:]...)
		u.from += n
	}
	if u.end != nil && u.from > u.endAt {
		u.end = nil // it was refused, since stdin has gone on
	}
}

// drop forgets all and returns how many bytes that were.
func (u *unacked) drop() int {
	n := len(u.data)
	u.data, u.end = nil, nil
	return n
}

// again returns a copy of all, to be sent again: the bytes before the end of stdin, that, and
// the bytes behind it.
func (u *unacked) again() (before []byte, end *EOF, behind []byte) {
	before, end = bytes.Clone(u.data), u.end
	if end != nil {
		at := u.endAt - u.from
		before, behind = before[:at], before[at:]
	}
	return before, end, behind
}
