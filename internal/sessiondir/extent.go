package sessiondir

import (
	"iter"
	"slices"
)

// maxScanned bounds how many blocks are read for one page, and on the way back how many
// that say nothing of output.
const maxScanned = 1024

// extent is a run of bytes of one stream that came at one time, or are missing.
type extent struct {
	stream   int
	from, to int64
	micros   int64   // since 1970
	timed    bool    // micros is known
	gap      bool    // the bytes are not there,
	why      reasons // for these reasons
}

// find returns the last block that begins nowhere beyond p.
func (v *view) find(p position) (found block, ok bool) {
	return v.search(v.first, func(b block) bool { return b.begins().upTo(v.size).within(p) })
}

// extents returns what b says of the bytes from pos up to until, in order: first
// its records, then what they leave out. b begins nowhere beyond pos.
func (v *view) extents(b block, pos, until position) []extent {
	var list []extent
	at := b.begins()
	for r := range v.records(b) {
		s, n, lost, why, ok := r.output()
		if !ok {
			continue
		}
		at[s] = min(at[s]+n, maxOffset)
		if end := min(at[s], until[s]); pos[s] < end {
			list = v.pieces(list, extent{s, pos[s], end, r.time, true, lost, why})
			pos[s] = end
		}
	}
	return append(list, v.untimed(pos, until)...)
}

// pieces adds an extent to a list, and makes a gap of what of it is not in the log,
// though no record says that it was lost: a crash or a damaged journal.
func (v *view) pieces(list []extent, e extent) []extent {
	begin, end := v.hole[e.stream], v.length[e.stream]
	if e.gap || e.from >= begin && e.to <= end {
		return append(list, e)
	}
	missing := extent{stream: e.stream, gap: true}
	if missing.from, missing.to = e.from, min(e.to, begin); missing.from < missing.to {
		list = append(list, missing)
	}
	data := e
	if data.from, data.to = max(e.from, begin), min(e.to, end); data.from < data.to {
		list = append(list, data)
	}
	if missing.from, missing.to = max(e.from, begin, end), e.to; missing.from < missing.to {
		list = append(list, missing)
	}
	return list
}

// untimed covers what no record covers.
func (v *view) untimed(pos, until position) []extent {
	var list []extent
	for s := range pos {
		if pos[s] < until[s] {
			list = v.pieces(list, extent{stream: s, from: pos[s], to: until[s]})
		}
	}
	return list
}

// forward yields extents that cover everything from pos to the end, each byte
// once, whatever the journal says.
func (v *view) forward(pos position) iter.Seq[extent] {
	return func(yield func(extent) bool) {
		emit := func(list []extent) bool {
			for _, e := range list {
				pos[e.stream] = e.to
				if !yield(e) {
					return false
				}
			}
			return true
		}
		start := pos
		b, ok := v.find(pos)
		if !ok {
			b, ok = v.next(v.first-1, position{})
		}
		for scanned := 0; ok && scanned < maxScanned; scanned++ {
			following, more := v.next(b.index, b.begins())
			until := v.size
			if more {
				until = following.begins().upTo(v.size)
			}
			if !emit(v.untimed(pos, b.begins().upTo(v.size))) || !emit(v.extents(b, pos, until)) {
				return
			}
			b, ok = following, more
		}
		if ok && pos != start {
			return // the rest is for the next page; but no page may be empty
		}
		emit(v.untimed(pos, v.size))
	}
}

// backward yields extents that cover everything, from the end to the beginning.
func (v *view) backward() iter.Seq[extent] {
	return func(yield func(extent) bool) {
		pos := v.size
		emit := func(list []extent) bool {
			for _, e := range slices.Backward(list) {
				pos[e.stream] = e.from
				if !yield(e) {
					return false
				}
			}
			return true
		}
		b, ok := v.previous(v.blocks-1, v.first)
		for silent := 0; ok && silent < maxScanned; silent++ {
			list := v.extents(b, b.begins().upTo(pos), pos)
			if len(list) > 0 {
				silent = 0
			}
			if !emit(list) {
				return
			}
			b, ok = v.previous(b.index-1, v.first)
		}
		emit(v.untimed(position{}, pos))
	}
}
