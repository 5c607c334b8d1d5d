package sessiondir

import (
	"bytes"
	"io"
	"iter"
)

// maxSkipped bounds how many blocks without a valid header are passed over to find the
// next one.
const maxSkipped = 16

// block is a block of the journal with a valid header.
type block struct {
	blockHeader
	index int64
}

// blockFile is the blocks of a journal.
type blockFile struct {
	journal io.ReaderAt
	blocks  int64 // how many there are
	still   bool  // nobody writes any more
}

// readBlock reads the beginning of block i into buf. A block that cannot be read
// is as one that is not valid: without the journal only times are lost.
func (f *blockFile) readBlock(i int64, buf []byte) (block, []byte, bool) {
	n, _ := f.journal.ReadAt(buf, i*blockBytes)
	h, ok := decodeHeader(buf[:n])
	return block{h, i}, buf[:n], ok
}

// maxTorn bounds how often something is read again that is written meanwhile.
const maxTorn = 100

// readRecords reads the records of a block. The last one may be written to in place at
// this moment: it is read until it stands still.
func (f *blockFile) readRecords(b block) []byte {
	_, buf, _ := f.readBlock(b.index, make([]byte, blockBytes))
	for range maxTorn {
		if f.still || b.index < f.blocks-1 {
			break
		}
		_, again, _ := f.readBlock(b.index, make([]byte, blockBytes))
		if bytes.Equal(buf, again) {
			break
		}
		buf = again
	}
	return buf[min(headerBytes, len(buf)):]
}

// next finds the first valid block after index i whose offsets are not below from.
func (f *blockFile) next(i int64, from position) (block, bool) {
	var header [headerBytes]byte
	for j := i + 1; j < f.blocks && j <= i+1+maxSkipped; j++ {
		if b, _, ok := f.readBlock(j, header[:]); ok && from.within(b.begins()) {
			return b, true
		}
	}
	return block{}, false
}

// previous finds the last valid block from index low up to i.
func (f *blockFile) previous(i, low int64) (block, bool) {
	var header [headerBytes]byte
	for j := i; j >= low && j >= i-maxSkipped; j-- {
		if b, _, ok := f.readBlock(j, header[:]); ok {
			return b, true
		}
	}
	return block{}, false
}

// search returns the last block, from first on, of those that are early, by binary search: all of
// them are taken to come before the others. A long run of blocks that are not valid
// is taken for a torn tail.
func (f *blockFile) search(first int64, early func(block) bool) (found block, ok bool) {
	low, high := min(first, f.blocks), f.blocks // blocks below low are early, those from high are not
	for low < high {
		middle := low + (high-low)/2
		b, valid := f.previous(middle, low)
		switch {
		case valid && early(b):
			found, ok, low = b, true, middle+1
		case valid:
			high = b.index
		case middle-low <= maxSkipped:
			low = middle + 1
		default:
			high = middle
		}
	}
	return found, ok
}

// records yields the records of a block.
func (f *blockFile) records(b block) iter.Seq[record] {
	return func(yield func(record) bool) {
		buf := f.readRecords(b)
		for now := b.time; ; {
			r, size := decodeRecord(buf, now)
			if size == 0 || !yield(r) {
				return
			}
			buf, now = buf[size:], r.time
		}
	}
}
