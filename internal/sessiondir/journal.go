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
	endOfRecords  recordKind = 0
	kindStdout    recordKind = 1
	kindStderr    recordKind = 2
	kindStdin     recordKind = 3
	kindStdinEOF  recordKind = 4
	lengthBytes              = 3
	maxRunBytes              = 1<<(7*lengthBytes) - 1
	maxRecordHead            = 1 + binary.MaxVarintLen64 + lengthBytes
)

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
	kind   recordKind
	time   int64 // µs since 1970
	length int64 // of kinds 1 to 3: bytes of the stream
}

// appendRecord encodes a record of kinds 1 to 3 or without content.
func appendRecord(b []byte, kind recordKind, delta, length int64) []byte {
	b = append(b, byte(kind))
	b = binary.AppendUvarint(b, uint64(delta))
	if kind > kindStdin {
		return append(b, 0)
	}
	return append(b, fixedLength(length)...)
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
	return r, size
}
