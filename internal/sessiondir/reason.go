package sessiondir

import (
	"strings"

	"banger"
	"banger/internal/diskspace"
)

// reasons says why output is not kept: a set of bits.
type reasons byte

// The reasons; the package comment has them too.
const (
	becauseLimit reasons = 1 << iota
	becauseReserve
	becauseFull
	becauseError
)

// String returns the reasons as a banger.LogChunk has them.
func (r reasons) String() string {
	var texts []string
	for i, text := range []string{banger.GapLogLimit, banger.GapDiskReserve, banger.GapDiskFull, banger.GapWriteError} {
		if r&(1<<i) != 0 {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 {
		return banger.GapUnknown
	}
	return strings.Join(texts, ", ")
}

// reasonOf says why a write that failed has lost output.
func reasonOf(err error) reasons {
	if diskspace.IsFull(err) {
		return becauseFull
	}
	return becauseError
}
