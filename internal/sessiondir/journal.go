package sessiondir

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
)

// The journal's format; the package comment has it byte for byte.
const (
	blockBytes     = 4096
	headerBytes    = 48
	journalVersion = 1
	journalMagic   = "bngj"
	flagStdinEOF   = 1
)

type recordKind byte

// The kinds of records.
const (
	endOfRecords recordKind = 0
	kindStdout   recordKind = 1
	kindStderr   recordKind = 2
	kindStdin    recordKind = 3
	kindStdinEOF recordKind = 4
	kindDiscard  recordKind = 5
	kindSynced   recordKind = 6
	lengthBytes             = 3
	maxRunBytes             = 1<<(7*lengthBytes) - 1
	maxRecord               = 1 + binary.MaxVarintLen64 + 1 + 2*binary.MaxVarintLen64 // kindSynced's
)

// reasonLimit is the one reason for which output is given up.
const reasonLimit = 1

// blockHeader begins every block.
type blockHeader struct {
	time     int64 // µs since 1970
	stdout   int64
	stderr   int64
	stdin    int64
	stdinEOF bool
}

func (h blockHeader) encode() []byte {
	b := make([]byte, headerBytes)
	copy(b, journalMagic)
	b[4] = journalVersion
	if h.stdinEOF {
		b[5] |= flagStdinEOF
	}
	for i, v := range []int64{h.time, h.stdout, h.stderr, h.stdin} {
		binary.BigEndian.PutUint64(b[8+8*i:], uint64(v))
	}
	binary.BigEndian.PutUint32(b[40:], checksum(b[:40]))
	return b
}

// decodeHeader reports false for what is not the header of a block.
func decodeHeader(b []byte) (blockHeader, bool) {
	if len(b) < headerBytes || !bytes.HasPrefix(b, []byte(journalMagic)) || b[4] != journalVersion ||
		binary.BigEndian.Uint32(b[40:]) != checksum(b[:40]) {
		return blockHeader{}, false
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[8+8*i:])) }
	h := blockHeader{time: field(0), stdout: field(1), stderr: field(2), stdin: field(3), stdinEOF: b[5]&flagStdinEOF != 0}
	return h, h.stdout >= 0 && h.stderr >= 0 && h.stdin >= 0
}

// begins returns where the block's output begins.
func (h blockHeader) begins() position { return position{h.stdout, h.stderr} }

func checksum(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32()
}

// record is one entry of a block.
type record struct {
	kind    recordKind
	time    int64  // µs since 1970
	length  int64  // of kinds 1 to 3: bytes of the stream
	content []byte // of the others
}

// appendRecord encodes a record. body is its fixedLength or its content.
func appendRecord(b []byte, kind recordKind, delta int64, body []byte) []byte {
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(delta))
	if kind > kindStdin {
		b = binary.AppendUvarint(b, uint64(len(body)))
	}
	return append(b, body...)
}

// discardContent is that of a record of kindDiscard.
func discardContent(stream int, offset int64) []byte {
	return binary.AppendUvarint([]byte{byte(stream), reasonLimit}, uint64(offset))
}

// syncedContent is that of a record of kindSynced.
func syncedContent(p position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(p[stdout])), uint64(p[stderr]))
}

// synced returns what a record of kindSynced says; false if it makes no sense.
func (r record) synced() (p position, ok bool) {
	rest := r.content
	for s := range p {
		n, size := binary.Uvarint(rest)
		if size <= 0 || int64(n) < 0 {
			return position{}, false
		}
		p[s], rest = int64(n), rest[size:]
	}
	return p, true
}

// discarded returns what a record of kindDiscard says; false if it makes no sense.
func (r record) discarded() (stream int, offset int64, ok bool) {
	if len(r.content) < 3 || r.content[0] > stderr {
		return 0, 0, false
	}
	n, size := binary.Uvarint(r.content[2:])
	return int(r.content[0]), int64(n), size > 0 && int64(n) >= 0
}

// fixedLength is a uvarint that always has lengthBytes bytes.
func fixedLength(n int64) []byte {
	return []byte{byte(n) | 0x80, byte(n>>7) | 0x80, byte(n>>14) & 0x7f}
}

// decodeRecord reads the record at the start of b; size 0 means that there is none.
func decodeRecord(b []byte, before int64) (r record, size int) {
	if len(b) == 0 || recordKind(b[0]) == endOfRecords {
		return record{}, 0
	}
	delta, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return record{}, 0
	}
	length, m := binary.Uvarint(b[1+n:])
	if m <= 0 || length > maxRunBytes {
		return record{}, 0
	}
	r = record{kind: recordKind(b[0]), time: before + int64(delta), length: int64(length)}
	size = 1 + n + m
	if r.kind > kindStdin {
		size += int(length)
	}
	if size > len(b) {
		return record{}, 0
	}
	if r.kind > kindStdin {
		r.content = b[1+n+m : size]
	}
	return r, size
}
