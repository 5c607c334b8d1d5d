package banger

import "io"

// SendRequest feeds a session's standard input.
type SendRequest struct {
	Data io.Reader `body:"bytes"` // nil for none; read to its end, sent as it is
	EOF  bool      `query:"eof" doc:"close stdin after the body"`
	// Offset is the position of Data's first byte in the session's stdin; nil
	// means wherever it stands now. Bytes below the accepted offset are dropped,
	// an offset above it is refused with CodeState: so a retry is safe.
	Offset *int64 `query:"offset" doc:"position of the body's first byte in stdin; bytes that were accepted before are dropped"`
	// Epoch is that in which Offset counts; empty: the one in which the session began. An
	// offset of another branch than the VM's is refused with CodeStaleEpoch.
	Epoch Epoch `query:"epoch" doc:"the epoch in which offset counts; default: the one in which the session began"`
	// RawLine has what a terminal in line mode would drop, behind the 4,095 bytes of a line
	// that it holds (termios(3)), fed and counted all the same. Else that is refused with
	// CodeInvalid, and what came before it is accepted.
	RawLine bool `query:"raw_line" doc:"write and count bytes that a terminal in line mode drops, after the 4095 bytes of a line that it holds, instead of refusing them"`
}

// SendResult says what a session has accepted of its stdin.
type SendResult struct {
	Epoch  Epoch `json:"epoch,omitempty" doc:"the epoch in which offset counts"`
	Offset int64 `json:"offset" doc:"bytes of stdin accepted since the session began"`
	EOF    bool  `json:"eof" doc:"stdin has been closed"`
}
