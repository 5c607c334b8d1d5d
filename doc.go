// Package banger is the domain of durable sessions in disposable virtual machines.
//
// It holds what the system is: records (VM, Session, Image), the states they
// may take, the requests that change them, and the interfaces by which the
// parts meet. It does no I/O and imports the standard library only, so that
// every other package may depend on it and it depends on none.
//
// docs/ARCHITECTURE.md tells how the parts fit together.
package banger
