// Package transfer copies trees of files between two processes that do not trust each other:
// a command line and the agent in a guest, or the daemon in place of a guest that does not
// run. It is the protocol, and both ends of it.
//
// A connection carries frames: one byte for the kind, four for the length of the payload
// (big-endian), the payload. The client sends one request and gets one answer. Then one side,
// the sender, sends a tree, and the other receives it.
//
// There is no path in the stream of a tree. An entry has a name, which is one component; a
// directory is entered by its entry and left by "up". So a receiver opens what it has made
// itself, relative to the directory that it is in, without following a link, and a name that
// is not one component ends the copy. There are no devices, FIFOs or sockets in it either.
//
// Why not tar: tar has no end that says that all has arrived, no digest, no way to report
// that one file could not be read, and to resume it one has to know what is where. Go's
// package writes no sparse files. Where users want tar, on stdin and stdout, this package
// converts it, in the process of the user.
package transfer
