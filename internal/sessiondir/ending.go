package sessiondir

// ending is what the last block of a journal says, with all that it covers.
type ending struct {
	covered  position   // how far the records go
	lost     position   // where the newest loss ends
	floor    position   // below it nothing is kept any more,
	why      [2]reasons // for these reasons
	synced   position   // below it everything has been on the disk
	first    int64      // blocks below it are given up
	stdin    int64
	stdinEOF bool
	last     extent // has the time of the last record
}

// readEnding reads the last block.
func (f *blockFile) readEnding() (e ending) {
	b, ok := f.previous(f.blocks-1, 0)
	if !ok {
		return e
	}
	e.covered, e.stdin, e.stdinEOF = b.begins(), b.stdin, b.stdinEOF
	for r := range f.records(b) {
		e.add(r)
		e.last = extent{micros: r.time, timed: true}
	}
	return e
}

func (e *ending) add(r record) {
	switch r.kind {
	case kindStdout, kindStderr, kindLost:
		if s, n, lost, _, ok := r.output(); ok {
			e.covered[s] = min(e.covered[s]+n, maxOffset)
			if lost {
				e.lost[s] = e.covered[s]
			}
		}
	case kindStdin:
		e.stdin += r.length
	case kindStdinEOF:
		e.stdinEOF = true
	case kindDiscard:
		if s, why, offset, ok := r.discarded(); ok && offset >= e.floor[s] {
			e.floor[s], e.why[s] = offset, why
		}
	case kindSynced:
		if p, ok := r.synced(); ok {
			e.synced = p
		}
	case kindShorter:
		if index, ok := r.shorter(); ok {
			e.first = max(e.first, index)
		}
	}
}
