package sessiondir

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"banger"
	"banger/internal/guestapi"
)

// maxPageChunks bounds the pieces of a page: each costs more than its bytes.
const maxPageChunks = 2048

// Reader reads a session's output. It keeps nothing between calls, so the files
// may grow, and it may be used concurrently if its file system may.
type Reader struct {
	fsys fs.FS
	live bool
	boot string
}

// NewReader reads the session whose directory is fsys. Files opened from it must be
// io.ReaderAt or io.Seeker.
func NewReader(fsys fs.FS) *Reader { return &Reader{fsys: fsys} }

// InBoot says that the files are those of a running kernel, which has the id, and
// returns the reader: what a session of that boot has written cannot be half on a
// disk.
func (r *Reader) InBoot(id string) *Reader {
	r.boot = id
	return r
}

// NewLiveReader reads a session that is being written. Output begins to exist for
// it when it is in the journal, a moment after it is in the log: so it has a time
// and its place among that of both streams.
func NewLiveReader(fsys fs.FS) *Reader { return &Reader{fsys: fsys, live: true} }

// Page returns up to limit bytes of a stream from a position on; of both streams
// in the order in which they were written. next is where the page after it
// begins; atEnd says that nothing was beyond it. A page is empty at the end only.
// A position beyond the end is CodeInvalid, unless a crash may have taken the rest.
func (r *Reader) Page(stream banger.Stream, from banger.LogCursor, limit int) (chunks []banger.LogChunk, next banger.LogCursor, atEnd bool, err error) {
	if limit < 1 {
		return nil, from, false, banger.Errorf(banger.CodeInvalid, "cannot read log: a page of %d bytes cannot hold anything", limit)
	}
	for range maxOvertaken {
		chunks, next, atEnd, err = r.page(stream, from, limit)
		if !errors.Is(err, errOvertaken) {
			return chunks, next, atEnd, err
		}
	}
	return nil, from, false, banger.Errorf(banger.CodeUnavailable, "cannot read log at %v: it is dropped faster than it can be read", from)
}

// GuestPage is Page of a request, which may ask for the last lines or for what is
// not older than a time. Whether the session has ended is for the caller to say.
func (r *Reader) GuestPage(ctx context.Context, read guestapi.GuestLogRead) (page guestapi.GuestLogPage, err error) {
	switch page.Begin = read.Cursor; {
	case read.Tail != nil:
		page.Begin, err = r.Tail(ctx, read.Stream, *read.Tail)
	case read.Since != nil:
		page.Begin, err = r.Since(read.Stream, *read.Since)
	}
	if err != nil {
		return page, err
	}
	page.Chunks, page.Next, page.AtEnd, err = r.Page(read.Stream, page.Begin, read.MaxBytes)
	return page, err
}

// maxOvertaken bounds how often one page is read again because what was read had
// been given up meanwhile, and was perhaps zeros already: errOvertaken.
const maxOvertaken = 10

var errOvertaken = errors.New("the data is no longer kept")

func (r *Reader) page(stream banger.Stream, from banger.LogCursor, limit int) (chunks []banger.LogChunk, next banger.LogCursor, atEnd bool, err error) {
	v, err := r.open(stream)
	if err != nil {
		return nil, from, false, err
	}
	defer v.close()
	pos := only(stream, position{from.Stdout, from.Stderr})
	for s, size := range v.size {
		if v.crashed {
			pos[s] = min(pos[s], size) // it may have been read before the crash
		}
		if name, _ := streamName(s); pos[s] < 0 || pos[s] > size {
			return nil, from, false, banger.Errorf(banger.CodeInvalid, "cannot read log at offset %d of %s: it has %d bytes", pos[s], name, size)
		}
	}
	if r.live && v.outrun {
		return nil, from, false, errOvertaken
	}
	gaps, pos := v.gaps(pos)
	r.settle(v, pos)
	extents, end := v.page(pos, limit, maxPageChunks)
	if chunks, err = v.chunks(extents); err != nil {
		return nil, from, false, err
	}
	if r.live && len(chunks) > 0 {
		floor, err := v.givenUp()
		if err != nil {
			return nil, from, false, err
		}
		if !only(stream, floor).within(pos) {
			return nil, from, false, errOvertaken
		}
	}
	chunks = slices.Concat(gaps, chunks)
	next = from
	if stream != banger.StreamStderr {
		next.Stdout = max(end[stdout], from.Stdout)
	}
	if stream != banger.StreamStdout {
		next.Stderr = max(end[stderr], from.Stderr)
	}
	return chunks, next, end == v.size, nil
}

// Totals is how much went through a session's streams.
type Totals struct {
	Stdout, Stderr int64 // bytes, with those that are not kept
	Stdin          int64 // bytes that the command's stdin was given
	StdinEOF       bool  // stdin was closed
}

// Totals returns what the files say of a session whose shim can say it no more.
func (r *Reader) Totals() (Totals, error) {
	v, err := r.look()
	if err != nil {
		return Totals{}, err
	}
	defer v.close()
	return v.totals(), nil
}

func (v *view) totals() Totals {
	stdin := max(v.stdin, 0) // a hostile journal can overflow it
	return Totals{Stdout: v.size[stdout], Stderr: v.size[stderr], Stdin: stdin, StdinEOF: v.stdinEOF}
}

// look opens a view. Of a session that its shim did not end, what may only look
// like output is left out.
func (r *Reader) look() (*view, error) {
	v, err := openView(r.fsys, false)
	if err != nil || r.live {
		return v, err
	}
	state, err := ReadState(r.fsys)
	lost := !state.Status.Ended() || state.EndedBy == banger.EndedByShimLost || state.EndedBy == banger.EndedByVMLost
	if err == nil && !lost {
		// The exit is kept even where a full disk took the last record of a loss.
		v.size = position{min(max(v.size[stdout], state.StdoutBytes), maxOffset), min(max(v.size[stderr], state.StderrBytes), maxOffset)}
		return v, nil
	}
	if err == nil && r.boot != "" && state.BootID == r.boot {
		return v, nil
	}
	v.crashed = err == nil
	if err := v.cutAllZeros(); err != nil {
		v.close()
		return nil, err
	}
	return v, nil
}

// open opens a view in which only the asked streams have bytes.
func (r *Reader) open(stream banger.Stream) (*view, error) {
	switch stream {
	case banger.StreamStdout, banger.StreamStderr, banger.StreamBoth:
	default:
		return nil, banger.Errorf(banger.CodeInvalid, "cannot read log: %.40q is not one of stdout, stderr, both", string(stream))
	}
	v, err := r.look()
	if err != nil {
		return nil, err
	}
	v.size, v.floor = only(stream, v.size), only(stream, v.floor)
	return v, nil
}

// settle takes from the view of a live reader what is not in the journal yet, but
// nothing before pos.
func (r *Reader) settle(v *view, pos position) {
	if !r.live {
		return
	}
	for s := range v.size {
		v.size[s] = min(v.size[s], max(pos[s], v.covered[s]))
	}
}

// only returns p with nothing of what is not asked for.
func only(stream banger.Stream, p position) position {
	switch stream {
	case banger.StreamStdout:
		p[stderr] = 0
	case banger.StreamStderr:
		p[stdout] = 0
	}
	return p
}

// page collects the extents of one page, joined where they are one: of at most
// limit bytes that are there, and at most count of them.
func (v *view) page(pos position, limit, count int) (list []extent, end position) {
	end = pos
	for e := range v.forward(pos) {
		if !e.gap {
			e.to = min(e.to, e.from+int64(limit))
			limit -= int(e.to - e.from)
		}
		end[e.stream] = e.to
		if n := len(list); n > 0 && list[n-1].joins(e) {
			list[n-1].to = e.to
		} else {
			list = append(list, e)
		}
		if limit == 0 || len(list) == count {
			break
		}
	}
	return list, end
}

// joins reports whether f continues where e ends. Gaps of one reason are one, with the
// time of the first.
func (e extent) joins(f extent) bool {
	return e.stream == f.stream && e.to == f.from && e.gap == f.gap && e.why == f.why &&
		(e.gap || e.timed == f.timed && e.micros == f.micros)
}

// chunks reads the bytes of extents, of each stream those at once that belong together.
func (v *view) chunks(list []extent) ([]banger.LogChunk, error) {
	chunks := make([]banger.LogChunk, len(list))
	for s := range v.size {
		var data []byte
		var begin, end int64 // of data
		for i, e := range list {
			if e.stream != s {
				continue
			}
			name, _ := streamName(s)
			chunks[i] = banger.LogChunk{Stream: name, Offset: e.from, Time: e.time()}
			if e.gap {
				chunks[i].Gap, chunks[i].Reason = e.to-e.from, e.why.String()
				continue
			}
			if e.to > end {
				var err error
				begin, end = e.from, runEnd(list[i:])
				if data, err = v.read(s, begin, end); err != nil {
					return nil, err
				}
			}
			chunks[i].Data = data[e.from-begin : e.to-begin]
		}
	}
	return chunks, nil
}

// runEnd returns where the bytes end that follow each other in the stream of the first
// extent.
func runEnd(list []extent) int64 {
	end := list[0].to
	for _, e := range list[1:] {
		if e.stream == list[0].stream && (e.gap || e.from != end) {
			break
		}
		if e.stream == list[0].stream {
			end = e.to
		}
	}
	return end
}

// time returns the extent's time, or zero. What no clock can have shown is
// unknown too; time.Time.MarshalJSON would fail for it.
func (e extent) time() time.Time {
	t := time.UnixMicro(e.micros).UTC()
	if !e.timed || !banger.ValidTime(t) {
		return time.Time{}
	}
	return t
}
