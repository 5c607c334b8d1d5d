// Package guestbudget says what one guest, or one remote host, may cost the daemon.
// Everything that a guest can make grow is in the table below; a Budget counts the part
// of it that adds up over time. There is one Budget for each VM, for as long as the
// daemon has the VM in hand, so that nothing is to be gained by a reconnect.
package guestbudget

import "time"

// What one message of a guest's control process may be.
const (
	MessageBytes   = 1 << 20  // of the whole line, or of the blob beside it
	MessageMembers = 8        // of the outermost object: JSON-RPC 2.0 has six
	MessageDepth   = 12       // of objects and lists in each other
	MessageValues  = 64 << 10 // that are in it; a page of the list has the most
	AnswerValues   = 20 << 10 // that are in an answer to any other request; 2,048 pieces of a log have 16,000
	MessagesAtOnce = 4        // of more than LargeMessage that are decoded at a time, of all guests together
	LargeMessage   = 16 << 10
)

// What the lists in a message may have.
const (
	ListSessions = 1 << 18   // sessions in all pages together
	SpecBytes    = 8 << 20   // of what one session was launched with, as JSON; one at a time
	ReportText   = 64 << 10  // bytes of text in a session's report
	ReportBytes  = 512 << 10 // of one as JSON, each byte of its text escaped
	ReportValues = 512       // that are in one; 8 steps of a stop and 32 survivors have 130
)

// What the daemon holds for a guest until it has been stored or sent.
const (
	PendingBytes = 4 << 20  // of changes that wait for the store
	OutboxBytes  = 20 << 20 // of requests that it does not read; the largest launch has 12 MiB as JSON
)

// What a guest may have done in a time.
const (
	HostLogBytes       = 64 << 10 // of the daemon's log, in each HostLogTime; and that much at once
	HostLogTime        = time.Minute
	StoreWritesASecond = 10 // transactions that a change of a session begins
	StoreWritesAtOnce  = 100
)

// What a search may cost in one session. It is given up when there is more than what the
// session can have kept and SearchSlack; when, after SearchGrace, fewer than SearchFloor
// bytes a second have come, which a slow host on a slow line has; and after SearchTime.
const (
	SearchMost  = 1 << 40 // of what a session without a log limit can have kept
	SearchSlack = 64 << 20
	SearchFloor = 64 << 10
	SearchGrace = 30 * time.Second
	SearchTime  = time.Hour
)

// How a login that the host has refused is repeated when nobody gives a reason to.
const (
	RefusedLoginPause = time.Hour
	UnreachablePause  = time.Minute // at most, between two attempts at a host that is away
)
