package transfer

import (
	"bytes"
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// blockBytes is the unit of a digest, and of what is resumed.
const blockBytes = 64 << 10

// digest sums up a file such that holes and zeros are the same: of each block, without the
// zeros at its end, its number and its bytes, unless there is nothing left of it. It finds
// accidents, which is all that there is to find: whoever sends a file says what is in it.
type digest struct {
	sum   *xxhash.Digest
	block []byte // the beginning of the block at which it is
	index int64  // of that
}

func newDigest() *digest { return &digest{sum: xxhash.New()} }

// reset begins with another file. What a small file takes is little beside a block of memory.
func (d *digest) reset() {
	d.sum.Reset()
	d.block, d.index = d.block[:0], 0
}

// write takes the bytes at an offset, which is not before what it has taken.
func (d *digest) write(offset int64, p []byte) {
	for len(p) > 0 {
		index, from := offset/blockBytes, int(offset%blockBytes)
		if index != d.index {
			d.flush()
			d.index = index
		}
		n := min(len(p), blockBytes-from)
		if from == 0 && n == blockBytes {
			d.add(p[:n])
		} else {
			if d.block == nil {
				d.block = make([]byte, 0, blockBytes)
			}
			have := len(d.block)
			d.block = d.block[:from]
			if have < from {
				clear(d.block[have:])
			}
			d.block = append(d.block, p[:n]...)
		}
		offset, p = offset+int64(n), p[n:]
	}
}

// flush sums up the block at which it is.
func (d *digest) flush() {
	if len(d.block) > 0 {
		d.add(d.block)
		d.block = d.block[:0]
	}
}

func (d *digest) add(block []byte) {
	block = bytes.TrimRight(block, "\x00")
	if len(block) == 0 {
		return
	}
	var head [16]byte
	binary.BigEndian.PutUint64(head[:8], uint64(d.index))
	binary.BigEndian.PutUint64(head[8:], uint64(len(block)))
	_, _ = d.sum.Write(head[:])
	_, _ = d.sum.Write(block)
}

// total returns the digest of what was written. Nothing may be written after it but what
// begins with another block.
func (d *digest) total() uint64 {
	d.flush()
	return d.sum.Sum64()
}
