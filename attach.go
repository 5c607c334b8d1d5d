package banger

// AttachRequest asks for a way to a session's streams.
type AttachRequest struct {
	AttachID string `json:"attach_id,omitempty" doc:"of an attachment that lost its connection and goes on; default: a new one"`
}

// AttachInfo tells how to reach a session's streams. The socket takes one
// connection, within 30 seconds, and is gone then; who never comes holds nothing.
type AttachInfo struct {
	VMID            VMID      `json:"vm_id"`
	SessionID       SessionID `json:"session_id"`
	AttachID        string    `json:"attach_id" doc:"for the first control on the connection"`
	TransportKind   string    `json:"transport_kind" doc:"unix"`
	TransportTarget string    `json:"transport_target" doc:"what to connect to, as the kind of transport has it"`
	SocketPath      string    `json:"socket_path" doc:"of a unix socket"`
	StreamFormat    string    `json:"stream_format" doc:"sessionstream/1; see docs/PROTOCOL.md"`
}

// The values of AttachInfo.
const (
	TransportUnix   = "unix"
	StreamFormatOne = "sessionstream/1"
)
