package sessiondir

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"banger"
)

// tailBlock is what Tail reads at once.
const tailBlock = 4 << 10

// Tail returns the position from which the rest of a stream is its last lines
// lines; a last line without a newline is one. Of both streams, lines are
// ordered by where they end, and each stream begins with a whole line. A
// negative number of lines means everything. A gap is not a line and ends none; one in the
// line with which a stream would begin, it begins with. Of each log, Tail reads what it
// leaves to be printed and at most one block of 4 KiB more.
func (r *Reader) Tail(ctx context.Context, stream banger.Stream, lines int) (banger.LogCursor, error) {
	v, err := r.open(stream)
	if err != nil || lines < 0 {
		return banger.LogCursor{}, err
	}
	defer v.close()
	r.settle(v, position{})
	if lines == 0 {
		return banger.LogCursor{Stdout: v.size[stdout], Stderr: v.size[stderr]}, nil
	}
	t := tail{lines: lines}
	for s := range t.streams {
		t.streams[s] = backwardLog{view: v, stream: s, at: v.size[s]}
	}
	for e := range v.backward() {
		if err = ctx.Err(); err != nil {
			break
		}
		if e.from = max(e.from, v.floor[e.stream]); e.to <= e.from {
			if t.atFloor() {
				break
			}
			continue
		}
		if err = t.take(ctx, e); err != nil || t.full {
			break
		}
	}
	var start position
	for s := range t.streams {
		if err == nil {
			start[s], err = t.streams[s].lineStart(ctx)
		}
	}
	if err != nil {
		return banger.LogCursor{}, fmt.Errorf("cannot find the last lines: %w", err)
	}
	return banger.LogCursor{Stdout: start[stdout], Stderr: start[stderr]}, nil
}

// tail collects lines of both streams from the end.
type tail struct {
	lines   int  // still to be taken
	full    bool // one more line was found than was asked for
	streams [2]backwardLog
}

// atFloor reports whether all that is kept is in the tail.
func (t *tail) atFloor() bool {
	for s := range t.streams {
		if l := &t.streams[s]; l.at > l.floor[s] {
			return false
		}
	}
	return true
}

// take goes backward over one extent.
func (t *tail) take(ctx context.Context, e extent) error {
	l := &t.streams[e.stream]
	if e.gap {
		l.at = e.from
		return nil
	}
	for l.at > e.from {
		end := l.at - 1 // the last byte of a stream ends a line, whatever it is
		if l.begun {
			var err error
			if end, err = l.lastNewline(ctx, e.from); err != nil {
				return err
			}
		}
		if end < e.from {
			l.at = e.from
			return nil
		}
		if l.at = end + 1; t.lines == 0 {
			t.full = true
			return nil
		}
		t.lines--
		l.at, l.begun = end, true
	}
	return nil
}

// backwardLog reads a log from its end to its beginning, each byte once.
type backwardLog struct {
	*view
	stream int
	at     int64 // everything from here on is in the tail
	begun  bool  // some of that is not a gap
	buf    []byte
	bufAt  int64 // where in the log buf begins
}

// lineStart returns where the line begins in whose middle the tail may begin now.
func (l *backwardLog) lineStart(ctx context.Context) (int64, error) {
	floor := l.floor[l.stream]
	for l.begun && l.at > floor {
		for _, e := range slices.Backward(l.before()) {
			if e.gap {
				return max(e.from, floor), nil
			}
			newline, err := l.lastNewline(ctx, max(e.from, floor))
			if err != nil || newline >= 0 {
				return newline + 1, err
			}
			l.at = max(e.from, floor)
		}
	}
	return l.at, nil
}

// before returns what the journal has of the bytes before at, at least the last one.
func (l *backwardLog) before() []extent {
	until := l.size
	until[l.stream] = l.at - 1
	b, ok := l.find(until)
	from := position{}
	if ok {
		from = b.begins()
	}
	until = from
	until[l.stream] = l.at
	if !ok {
		return l.untimed(from, until)
	}
	return l.extents(b, from, until)
}

// lastNewline returns where the last newline before at is, or -1 if there is
// none from low on.
func (l *backwardLog) lastNewline(ctx context.Context, low int64) (int64, error) {
	for high := l.at; high > low; high = l.bufAt {
		if l.buf == nil || high <= l.bufAt {
			if err := ctx.Err(); err != nil {
				return 0, context.Cause(ctx)
			}
			var err error
			l.bufAt = max(high-tailBlock, 0)
			if l.buf, err = l.readInto(l.buf, l.stream, l.bufAt, high); err != nil {
				return 0, err
			}
		}
		skip := max(low-l.bufAt, 0)
		if i := bytes.LastIndexByte(l.buf[skip:high-l.bufAt], '\n'); i >= 0 {
			return l.bufAt + skip + int64(i), nil
		}
	}
	return -1, nil
}
