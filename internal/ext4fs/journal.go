package ext4fs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The journal, as the Linux kernel's Documentation/filesystems/ext4/journal.rst has it. Its
// numbers are big endian.
const (
	journalMagic  = 0xC03B3998
	journalHeader = 12 // magic, kind and transaction, with which each block but those of files begins
	journalTail   = 4  // a checksum

	kindDescriptor = 1
	kindCommit     = 2
	kindSuper      = 4
	kindRevoke     = 5

	journalRevoke    = 0x1 // of its incompatible features
	journal64Bit     = 0x2
	journalCsumV3    = 0x10
	journalSupported = journalRevoke | journal64Bit | journalCsumV3
	journalChecksum  = 0x1 // of its compatible ones: of an older kind

	tagEscaped  = 1 // the block begins with the magic, of which the copy has zeros
	tagSameUUID = 2
	tagDeleted  = 4
	tagLast     = 8
	uuidBytes   = 16
)

// Bounds of a journal that is replayed here. Those of VMs have 8192 blocks.
const (
	maxJournalBlocks = 32 << 10
	maxRevoked       = 64 << 10
)

// errOtherJournal says that a journal is not as kernels write them to a work disk, or is
// damaged.
var errOtherJournal = errors.New("its journal is not one that can be read")

var be = binary.BigEndian //nolint:gochecknoglobals // a name for a constant

// OpenReplayed is Open for a file system whose journal has not been replayed: what is in it
// is read in place of what it replaces. The image is not changed. It fails with ErrJournal
// if the journal is none that it knows, or is damaged; e2fsck(8) may know better.
func OpenReplayed(image io.ReaderAt) (*FS, error) {
	f, super, err := open(image)
	if err != nil || le.Uint32(super[96:])&incompatRecover == 0 {
		return f, err
	}
	copies, err := f.readJournal(super)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	f.image = &replayed{image: image, blockSize: f.blockSize, copies: copies}
	return f, nil
}

// replayed is an image with the newest copies of blocks that its journal has.
type replayed struct {
	image     io.ReaderAt
	blockSize int64
	copies    map[int64]blockCopy
}

// blockCopy is a block in the journal.
type blockCopy struct {
	at          int64 // where in the image
	transaction uint32
	escaped     bool
	checked     bool // it has a checksum
	checksum    uint32
	seed        uint32
}

// ReadAt implements io.ReaderAt.
func (r *replayed) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		at := off + int64(n)
		number, from := at/r.blockSize, at%r.blockSize
		part := p[n:]
		part = part[:min(int64(len(part)), r.blockSize-from)]
		c, ok := r.copies[number]
		if !ok {
			for len(part) < len(p)-n { // up to the next copy
				if _, ok := r.copies[(at+int64(len(part)))/r.blockSize]; ok {
					break
				}
				part = p[n:][:min(int64(len(p)-n), int64(len(part))+r.blockSize)]
			}
			var done int
			done, err = r.image.ReadAt(part, at)
			n += done
			continue
		}
		block := make([]byte, r.blockSize)
		if err = c.read(r.image, block); err == nil {
			n += copy(part, block[from:])
		}
	}
	return n, err
}

// read reads a whole block.
func (c blockCopy) read(image io.ReaderAt, block []byte) error {
	if n, err := image.ReadAt(block, c.at); n < len(block) {
		return errors.Join(errDamaged, err)
	}
	if c.checked && crc(crc(c.seed, be.AppendUint32(nil, c.transaction)), block) != c.checksum {
		return fmt.Errorf("a block in its journal has another checksum: %w", errDamaged)
	}
	if c.escaped {
		be.PutUint32(block, journalMagic)
	}
	return nil
}

// journal is one that is being read.
type journal struct {
	*inode
	blocks, first uint32 // where it ends, and where it begins after that again
	sumAll        bool   // its blocks have checksums
	wide          bool   // numbers of blocks have 64 bits
	seed          uint32 // of the checksums
	limit         int64  // blocks of the file system
}

// readJournal returns the copies of blocks of all transactions that were committed.
func (f *FS) readJournal(super []byte) (map[int64]blockCopy, error) {
	const journalInode = 0xE0
	i, err := f.inode(le.Uint32(super[journalInode:]), "journal")
	if err != nil {
		return nil, err
	}
	limit := int64(le.Uint32(super[4:]))
	if f.descSize >= 64 {
		limit |= int64(le.Uint32(super[0x150:])) << 32
	}
	j := &journal{inode: i, limit: limit}
	block := make([]byte, f.blockSize)
	if err := j.read(block, 0); err != nil {
		return nil, err
	}
	if err := j.readSuper(block); err != nil {
		return nil, err
	}
	start := be.Uint32(block[28:])
	if start == 0 {
		return nil, nil // it is empty
	}
	return j.replay(block, start, be.Uint32(block[24:]))
}

// readSuper takes in the journal's first block.
func (j *journal) readSuper(b []byte) error {
	incompat := be.Uint32(b[40:])
	j.blocks, j.first = be.Uint32(b[16:]), be.Uint32(b[20:])
	j.wide, j.sumAll = incompat&journal64Bit != 0, incompat&journalCsumV3 != 0
	known := be.Uint32(b) == journalMagic && be.Uint32(b[4:]) == kindSuper && int64(be.Uint32(b[12:])) == j.fsys.blockSize &&
		incompat&^journalSupported == 0 && be.Uint32(b[36:])&journalChecksum == 0 && be.Uint32(b[44:]) == 0
	if !known || j.first == 0 || j.first >= j.blocks || j.blocks > maxJournalBlocks || int64(j.blocks)*j.fsys.blockSize > j.size {
		return errOtherJournal
	}
	if !j.sumAll {
		return nil
	}
	const uuid, checksum, crc32c = 0x30, 0xFC, 4
	if b[0x50] != crc32c || !sumIs(^uint32(0), b[:superBytes], checksum) {
		return errOtherJournal
	}
	j.seed = crc(^uint32(0), b[uuid:][:uuidBytes])
	return nil
}

// crc is the kernel's crc32c.
func crc(seed uint32, p []byte) uint32 {
	return ^crc32.Update(^seed, crc32.MakeTable(crc32.Castagnoli), p)
}

// sumIs reports whether a checksum at a place is that of all other bytes, and zeros there.
func sumIs(seed uint32, p []byte, at int) bool {
	sum := crc(crc(crc(seed, p[:at]), make([]byte, journalTail)), p[at+journalTail:])
	return sum == be.Uint32(p[at:])
}

// read reads a block of the journal.
func (j *journal) read(block []byte, number uint32) error {
	if n, err := j.ReadAt(block, int64(number)*j.fsys.blockSize); n < len(block) {
		return errors.Join(errOtherJournal, err)
	}
	return nil
}

// after returns the block that follows n blocks behind another.
func (j *journal) after(number, n uint32) uint32 {
	if number += n; number >= j.blocks {
		number -= j.blocks - j.first
	}
	return number
}

// replay goes through the transactions from start on, of which the first has a number. block
// is room for one.
func (j *journal) replay(block []byte, start, number uint32) (map[int64]blockCopy, error) {
	if start < j.first || start >= j.blocks {
		return nil, errOtherJournal
	}
	var committed, open []taggedCopy
	revoked, pending := map[int64]uint32{}, map[int64]uint32{}
	at := start
	for passed := uint32(0); ; {
		if err := j.read(block, at); err != nil {
			return nil, err
		}
		if be.Uint32(block) != journalMagic || be.Uint32(block[8:]) != number {
			break // what is here is older
		}
		at, passed = j.after(at, 1), passed+1
		switch be.Uint32(block[4:]) {
		case kindDescriptor:
			tags, err := j.tags(block, at, number)
			if err != nil {
				return nil, err
			}
			open = append(open, tags...)
			at, passed = j.after(at, uint32(len(tags))), passed+uint32(len(tags))
		case kindRevoke:
			if err := j.revoke(pending, block, number); err != nil {
				return nil, err
			}
		case kindCommit:
			if j.sumAll && !sumIs(j.seed, block, 16) {
				return nil, errOtherJournal
			}
			committed = append(committed, open...)
			for b, n := range pending {
				revoked[b] = n
			}
			open = nil
			clear(pending)
			number++
		default:
			return nil, errOtherJournal
		}
		if passed > j.blocks-j.first || len(revoked)+len(pending) > maxRevoked {
			return nil, errOtherJournal // it leads into itself
		}
	}
	copies := make(map[int64]blockCopy, len(committed))
	for _, c := range committed {
		if last, ok := revoked[c.block]; !ok || int32(c.transaction-last) > 0 {
			copies[c.block] = c.blockCopy
		}
	}
	return copies, nil
}

// taggedCopy is a copy of a block of the file system.
type taggedCopy struct {
	block int64
	blockCopy
}

// tags returns what a descriptor says of the blocks that follow it, from at on.
func (j *journal) tags(b []byte, at, transaction uint32) (tags []taggedCopy, err error) {
	size, end := 8, len(b)
	switch {
	case j.sumAll:
		size, end = 16, end-journalTail
		if !sumIs(j.seed, b, end) {
			return nil, errOtherJournal
		}
	case j.wide:
		size = 12
	}
	for rest := b[journalHeader:end]; len(rest) >= size; {
		c := taggedCopy{block: int64(be.Uint32(rest)), blockCopy: blockCopy{transaction: transaction, checked: j.sumAll, seed: j.seed}}
		var flags uint32
		if j.sumAll {
			flags, c.checksum = be.Uint32(rest[4:]), be.Uint32(rest[12:])
		} else {
			flags = uint32(be.Uint16(rest[6:]))
		}
		if j.wide {
			c.block |= int64(be.Uint32(rest[8:])) << 32
		}
		c.escaped = flags&tagEscaped != 0
		if c.at, err = j.place(at); err != nil {
			return nil, err
		}
		if c.block < 0 || c.block >= j.limit || flags&tagDeleted != 0 {
			return nil, errOtherJournal
		}
		tags, at, rest = append(tags, c), j.after(at, 1), rest[size:]
		if flags&tagSameUUID == 0 {
			rest = rest[min(uuidBytes, len(rest)):]
		}
		if flags&tagLast != 0 {
			break
		}
	}
	return tags, nil
}

// place returns where in the image a block of the journal is.
func (j *journal) place(number uint32) (int64, error) {
	var node []byte
	e, err := j.find(int64(number), &node)
	if err == nil && (e.hole || e.physical <= 0 || e.physical >= j.limit) {
		err = errOtherJournal
	}
	return (e.physical + int64(number) - e.begin) * j.fsys.blockSize, err
}

// revoke notes the blocks of which no copy of a transaction, and of those before it, counts
// any more.
func (j *journal) revoke(revoked map[int64]uint32, b []byte, transaction uint32) error {
	const entries = 16
	end, size := len(b), 4
	if j.sumAll {
		end -= journalTail
		if !sumIs(j.seed, b, end) {
			return errOtherJournal
		}
	}
	if j.wide {
		size = 8
	}
	used := int64(be.Uint32(b[12:]))
	if used < entries || used > int64(end) {
		return errOtherJournal
	}
	for rest := b[entries:used]; len(rest) >= size; rest = rest[size:] {
		block := int64(be.Uint32(rest))
		if j.wide {
			block = int64(be.Uint64(rest))
		}
		revoked[block] = transaction
	}
	return nil
}
