package sessiondir

import (
	"errors"
	"strings"
	"syscall"

	"banger"
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

// isFull reports whether an error means that a disk, or a share of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// reasonOf says why a write that failed has lost output.
func reasonOf(err error) reasons {
	if isFull(err) {
		return becauseFull
	}
	return becauseError
}
