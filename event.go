package banger

import (
	"context"
	"time"
)

// EventKind says what happened to what.
type EventKind string

// The kinds of events; docs/EVENTS.md has what each carries.
const (
	EventVMCreated      EventKind = "vm.created"
	EventVMChanged      EventKind = "vm.changed"
	EventVMDeleted      EventKind = "vm.deleted"
	EventSessionCreated EventKind = "session.created"
	EventSessionChanged EventKind = "session.changed"
	EventSessionDeleted EventKind = "session.deleted"
	EventImageCreated   EventKind = "image.created"
	EventImageChanged   EventKind = "image.changed"
	EventImageDeleted   EventKind = "image.deleted"
)

// Event is one change of one record. Revisions grow by one with each event of
// an installation and are never reused.
type Event struct {
	Revision int64     `json:"revision" doc:"number of the event, one above that of the previous event; of a heartbeat, that of the newest event sent"`
	Time     time.Time `json:"time" doc:"when the change was made, by the host's clock"`
	Kind     EventKind `json:"kind"`
	// The record after the change, or the last one before its deletion; exactly one is set.
	VM      *VM      `json:"vm,omitempty" doc:"of an event about a VM: its record after the change, or the last one before it was deleted"`
	Session *Session `json:"session,omitempty" doc:"the same of a session"`
	Image   *Image   `json:"image,omitempty" doc:"the same of an image"`
}

// EventService gives the history of all records. Safe for concurrent use.
type EventService interface {
	// WatchEvents calls fn with every event after revision since, in order and
	// without a hole, first the kept ones, then each as it happens, until ctx
	// ends or fn fails. If since lies before what is kept, it returns CodeGone.
	// A negative since means only what happens from now on.
	WatchEvents(ctx context.Context, since int64, fn func(Event) error) error
}
