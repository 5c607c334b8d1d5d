// Package shim is the process that owns one session: it starts the command,
// keeps its output, feeds its stdin, serves the session's socket, and records
// how it ended. It is all of banger-shim, which stays small because there is one
// per session: no dependency beyond the standard library and x/sys, one buffer,
// and no timer while nothing happens.
//
// One goroutine, on the process's first thread, starts, signals and reaps
// processes (supervisor); so no pid can be reused between a look and a signal,
// and the command's parent-death signal is tied to the life of the process.
// Others carry bytes: the pump from the command's output to the logs, and one
// or two per connection. The state of the session is changed in one place
// (record), which writes it to the disk before it reports it.
//
// A shim ends with its session and in this order: every process killed and
// reaped, the last output byte in the log, the logs synced, the final state on
// the disk, the exit announced, the connections closed, the socket removed, the
// lock released.
package shim
