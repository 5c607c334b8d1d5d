// Package emulator is a terminal without a window: it takes the bytes that a program
// writes to a terminal and knows what that would show.
//
// It follows ECMA-48, DEC's manual of the VT510 and xterm's ctlseqs, and where these
// leave something open, what tmux and libvterm have in common; decision 25 has the
// differences. Each byte costs bounded work, whatever the bytes are: at most the rows
// or the columns of the screen. It imports the standard library only, so that the
// programs in guests can carry it.
package emulator

//go:generate go run ../tools/genwidths -o widthtable.go
