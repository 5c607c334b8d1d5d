// Package termmodes follows the state of a terminal through the bytes that are
// written to it: what a program can have changed in it, beside what its screen shows.
// A client that attaches to the program later has to set that, and take it back when it leaves.
//
// Sources: ECMA-48 for the format, xterm's ctlseqs for the private sequences, and the
// protocol documents of kitty for the keyboard and the pointer. A terminal that does
// not know a sequence passes over it, so taking one back is harmless everywhere.
package termmodes
