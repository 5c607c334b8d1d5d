package banger

import (
	"crypto/rand"
	"strings"
)

// VMID identifies a VM for ever; it is never used again.
type VMID string

// SessionID identifies a session within its VM, for ever; a VM and its forks have sessions
// with the same ids. SessionKey is unique.
type SessionID string

// ImageID identifies the content of an image.
type ImageID string

// KernelID identifies the content of a kernel.
type KernelID string

// idLength gives 100 random bits: no two are equal in practice, and a prefix of
// a few characters is unique on one host.
const idLength = 20

// NewVMID returns a random id.
func NewVMID() VMID { return VMID(newID()) }

// NewSessionID returns a random id.
func NewSessionID() SessionID { return SessionID(newID()) }

func newID() string { return strings.ToLower(rand.Text()[:idLength]) }

// ValidID reports whether s has the form of an id made by this package. A guest
// names directories by id, so anything else from outside is refused.
func ValidID(s string) bool {
	if len(s) != idLength {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
