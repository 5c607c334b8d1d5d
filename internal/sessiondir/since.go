package sessiondir

import (
	"time"

	"banger"
)

// Since returns the position of the first output at or after a time, or the end if
// there is none. Times are those of the clock of who wrote the session, and are taken
// to go up: if that clock was set back, there are several places where the output
// passes the time, and this is one of them. Output whose time is not known is left
// out only if later output is known to be from before the time; of what is not kept
// any more the time may be forgotten, too. Since reads as much of
// the journal as it takes to find the place, and nothing of the logs.
func (r *Reader) Since(stream banger.Stream, at time.Time) (banger.LogCursor, error) {
	v, err := r.open(stream)
	if err != nil {
		return banger.LogCursor{}, err
	}
	defer v.close()
	r.settle(v, position{})
	start := v.since(at.Add(time.Microsecond - 1).UnixMicro())
	return banger.LogCursor{Stdout: start[stdout], Stderr: start[stderr]}, nil
}

// since is Since in µs since 1970.
func (v *view) since(micros int64) position {
	b, ok := v.search(v.first, func(b block) bool { return b.time < micros })
	if !ok {
		return position{}
	}
	start, until := b.begins().upTo(v.size), v.size
	if following, more := v.next(b.index, b.begins()); more {
		until = following.begins().upTo(v.size)
	}
	at := start
	for _, e := range v.extents(b, start, until) {
		if e.timed && e.micros >= micros {
			break
		}
		if at[e.stream] = e.to; e.timed {
			start = at
		}
	}
	return start
}
