// Package sessiondir is the folder that holds one session: what was asked for,
// how it goes, and every byte it wrote. It is a format. The shim and the control
// server write it in the guest; it is read there, on the disk of a stopped VM,
// and in tests, always through fs.FS. Nothing in it is trusted by a reader.
//
// # Files
//
//	spec.json    banger.GuestLaunch; written once, by Create
//	state.json   State, and blanks; replaced atomically
//	.state.json.spare
//	             where the next state.json is written; it keeps room for it
//	stdout.log   the bytes of stdout as they are
//	stderr.log   the same of stderr; absent if the session has a terminal
//	journal      when and in which order those bytes came, see below
//	attach.sock  the shim's socket while the session runs
//	lock         empty; see the next section
//
// # Who owns a session
//
// Whoever owns a session holds an exclusive flock(2) on its lock file: first the
// control server that creates it, then the shim, which inherits the same open
// file description and keeps it for life. So if the lock is free and the state
// is not an end, nobody owns the session, and its shim is lost. No pid is ever
// guessed at. Only the owner writes.
//
// # The journal
//
// The journal is a sequence of blocks of 4096 bytes; the last one may be
// shorter. Numbers are big endian. A block begins with a header of 48 bytes:
//
//	 0  4  "bngj"
//	 4  1  version, 1
//	 5  1  flags: 1 if stdin was closed before the block
//	 6  2  zero
//	 8  8  T: microseconds since 1970-01-01 UTC, the time before the first record
//	16  8  stdout offset: where the block's first stdout record begins
//	24  8  the same of stderr
//	32  8  the same of stdin
//	40  4  FNV-1a (32 bit) of bytes 0 to 39
//	44  4  zero
//
// Records follow each other until a byte 0 or the end of the block; no record
// crosses a block's end:
//
//	1 byte   kind
//	uvarint  microseconds since the previous record's time, or since T
//	uvarint  length
//
//	kind 1  stdout: length more bytes of stdout.log
//	kind 2  stderr: length more bytes of stderr.log
//	kind 3  stdin: the command's stdin was given length more bytes
//	kind 4  stdin was closed; length is 0
//
//	kind 5  output is not kept any more: stream (1 byte: 0 stdout, 1 stderr),
//	        reason (1 byte: 1 the log's limit), uvarint offset below which all of
//	        it is given up
//
//	kind 6  output is synced: uvarint offset of stdout, uvarint offset of stderr
//	        below which all of it is on the disk
//
// In every kind above 3, length counts bytes that follow in the record itself,
// so that a reader skips kinds it does not know. The uvarints are those of
// encoding/binary; the length of kinds 1 to 3 always takes three bytes, since
// output that follows soon in the same stream is added to the last record in
// place. A record's time is that of its first byte.
//
// The bytes are written to the log first, then to the journal. Log bytes that no
// record covers are read all the same, with no time. A block whose header is not
// valid is passed over, a record that contradicts the next header or the size of
// the log is cut.
//
// # Limits
//
// A log that may not grow any more is shortened at its beginning, in place: the
// file system gets the blocks back (FALLOC_FL_PUNCH_HOLE, fallocate(2)), and every
// offset stays what it is. The record of kind 5 is synced before that, and each
// later block begins with the newest ones. What lies below is a hole that reads as
// zeros; a reader tells of a gap instead.
//
// # Crashes
//
// When a machine crashes, a log may end with zeros in place of bytes that were not
// on the disk yet. Of a session whose end its shim did not record, zeros at the end
// of a log and behind the last record of kind 6 are not taken for output.
package sessiondir

// The names of the files.
const (
	SpecName    = "spec.json"
	StateName   = "state.json"
	StdoutName  = "stdout.log"
	StderrName  = "stderr.log"
	JournalName = "journal"
	SocketName  = "attach.sock"
	LockName    = "lock"
)
