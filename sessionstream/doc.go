// Package sessionstream is the wire form of a conversation with a session, in
// version 1: the same on a shim's socket and on a connection of the daemon's API, so that
// the daemon between them copies frames (Attachment.ReceiveFrames). docs/PROTOCOL.md describes it for other
// languages; testdata/vectors.json has examples.
//
// Each side first sends a preamble of 8 bytes, then frames: channel (1 byte),
// length (4 bytes, big endian), payload. Channel 0 carries controls as JSON, the
// others the bytes of the session's standard streams.
package sessionstream

// Version is the version of the format that this package speaks.
const Version = 1

// preamble is a magic of 7 bytes and the version.
const preamble = "bngrss/" + string(rune(Version))

// HeaderBytes is the size of a frame's header.
const HeaderBytes = 5

// Limits, checked before anything is allocated.
const (
	MaxPayload        = 1 << 20
	MaxControlPayload = 64 << 10
	// MaxStdinPayload bounds a frame of stdin: it is taken whole, so that the
	// bytes of two writers never mix within a frame.
	MaxStdinPayload = 256 << 10
)

// Channel says what a frame carries.
type Channel byte

// The channels.
const (
	ChannelControl Channel = 0
	ChannelStdin   Channel = 1
	ChannelStdout  Channel = 2
	ChannelStderr  Channel = 3
)

// maxPayload returns the limit of c's frames, or 0 for a channel that does not exist.
func (c Channel) maxPayload() int {
	switch c {
	case ChannelControl:
		return MaxControlPayload
	case ChannelStdin:
		return MaxStdinPayload
	case ChannelStdout, ChannelStderr:
		return MaxPayload
	}
	return 0
}
