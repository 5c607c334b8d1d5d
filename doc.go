// Package banger is the domain of durable sessions in disposable virtual machines.
//
// It holds what a client of the daemon needs: records (VM, Session, Image), the
// states they may take, the requests that change them, errors, and the interfaces of
// the services. It does no I/O and imports the standard library only, so that every
// other package may depend on it and it depends on none. What only the daemon's parts
// ask of each other is in packages of its own below internal.
//
// docs/ARCHITECTURE.md describes how the parts fit together.
package banger
