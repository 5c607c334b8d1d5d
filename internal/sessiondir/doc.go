// Package sessiondir is the directory that holds one session: what was asked for,
// how it goes, and every byte it wrote. It is a format. The shim and the control
// server write it in the guest; it is read there, on the disk of a stopped VM,
// and in tests, always through fs.FS. Nothing in it is trusted by a reader.
//
// # Files
//
//	spec.json    guestapi.GuestLaunch, less the values of its secrets; written once, by Create
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
// control server that creates it, then the shim, which is handed the same open
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
//	        reasons (1 byte, see below), uvarint offset below which all of it is
//	        given up, for these reasons
//
//	kind 6  output is synced: uvarint offset of stdout, uvarint offset of stderr
//	        below which all of it is on the disk
//
//	kind 7  output is lost: stream (1 byte), reasons (1 byte), uvarint n: the
//	        next n bytes of the stream could not be written. n is 0 where a
//	        block begins at the end of a loss: so a reader knows of it by the
//	        block alone
//
//	kind 8  the journal is shortened: uvarint index of the first block that is
//	        kept
//
// In every kind above 3, length counts bytes that follow in the record itself,
// so that a reader skips kinds it does not know. The uvarints are those of
// encoding/binary. The length of kinds 1 to 3 always takes three bytes, since
// output that follows soon in the same stream is added to the last record in
// place; and the offsets of kind 6 and the n of kind 7 take nine: the one is replaced
// in its block, and a loss that continues is added to the last one of its stream while
// nothing else of that has come. A record's time is that of its first byte.
//
// Reasons are a set of bits: 1 the log's limit, 2 the reserve of the disk, 4 the disk
// was full, 8 it could not be written otherwise.
//
// The bytes are written to the log first, then to the journal. Log bytes that no
// record covers are read all the same, with no time. A block whose header is not
// valid is passed over, a record that contradicts the next header or the size of
// the log is cut.
//
// # Losses
//
// Every byte that the command writes has its offset, whether it can be kept or not. A
// loss takes no place in the log, which is a hole there if more follows and else ends
// before it; its record is synced before more follows. The journal has its next
// blocks allocated ahead (FALLOC_FL_KEEP_SIZE), so that a full disk can be recorded.
// If even that is used up, the loss is kept in mind and noted at the first chance, and
// nothing is written behind it before. What then the end itself could not bring into the
// journal is known from the counts of state.json.
//
// # Limits
//
// A log that may not grow any more is shortened at its beginning, in place: the
// file system gets the blocks back (FALLOC_FL_PUNCH_HOLE, fallocate(2)), and every
// offset stays what it is. The record of kind 5 is synced before that, and each
// later block begins with the newest ones. What lies below is a hole that reads as
// zeros; a reader reports a gap instead. The same happens to blocks of the journal
// that have nothing to say of what is kept, by a record of kind 8. Of a stream that is
// kept long beside one that is not, the times are given up with them when the journal has
// more than a 32nd of what is kept, and more than 1 MiB; what it lost never.
//
// # Crashes
//
// A new session's directory is durable soon, and before its end is reported. Until
// then a crash of the machine may take it, or leave files of it empty.
//
// When a machine crashes, a log may end with zeros in place of bytes that were not
// on the disk yet. Of a session whose end its shim did not record, zeros at the end
// of a log and behind the last record of kind 6 are not taken for output. What the
// log lacks before a loss is a gap, too.
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
