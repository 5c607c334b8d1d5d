package banger

// Epoch names a branch of a VM's life, for ever. A fork and the restore of an older
// snapshot begin one; a stop, a start, a hibernation and its end do not. The first epoch
// of a VM has the VM's id.
//
// Epochs form a tree. A position in a session counts bytes of one epoch. It means the same
// bytes in each later epoch that comes from that one, as far as the point at which the two
// parted; beyond that, and in every other epoch, it is refused.
type Epoch string

// NewEpoch returns a random one.
func NewEpoch() Epoch { return Epoch(newID()) }

// SessionKey identifies a session: a VM and its forks have sessions with the same ids.
type SessionKey struct {
	VM      VMID
	Session SessionID
}

// String is for logs.
func (k SessionKey) String() string { return string(k.VM) + "/" + string(k.Session) }

// Key returns what identifies the session.
func (s Session) Key() SessionKey { return SessionKey{s.VMID, s.ID} }

// Parting is the point in a session at which two epochs parted: what lies before it is the
// same in both, what lies behind it may not be. Positions are bytes since the session began.
type Parting struct {
	Epoch  Epoch `json:"epoch" doc:"the epoch of the VM, in which these positions are valid, too"`
	Stdout int64 `json:"stdout" doc:"position in stdout up to which both epochs have the same bytes"`
	Stderr int64 `json:"stderr" doc:"the same in stderr"`
	Stdin  int64 `json:"stdin" doc:"the same in stdin"`
}

// Cursor returns the point as the place in the VM's own epoch at which output continues.
func (p Parting) Cursor() LogCursor {
	return LogCursor{Epoch: p.Epoch, Stdout: p.Stdout, Stderr: p.Stderr}
}
