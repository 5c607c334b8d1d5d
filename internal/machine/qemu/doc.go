// Package qemu runs machines as QEMU processes: with KVM where it boots a guest
// on this host, else emulated (TCG). It needs no privileges beyond those of the
// user, and nothing of a machine lives in the process that started it.
package qemu
