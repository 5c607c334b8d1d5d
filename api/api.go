// Package api describes banger's HTTP API to both sides: the routes, and the
// bodies that are not records of package banger. openapi.json is made from it.
//
// Bodies are JSON, except where a route says otherwise. An answer that takes
// time is a stream of lines, one JSON object each (application/x-ndjson). Every
// stream but that of events ends with a line that says so; a stream that ends
// without one was cut off.
package api

import (
	_ "embed"
	"time"

	"banger"
)

//go:generate go run banger/internal/tools/gendocs -root ..

// OpenAPI is the description of the API, OpenAPI 3.1.
//
//go:embed openapi.json
var OpenAPI []byte

// Headers beside those of HTTP.
const (
	// HeaderVersion is the version of the build, in every request of our client
	// and in every answer of the daemon.
	HeaderVersion = "Banger-Version"
)

// Content types.
const (
	ContentJSON   = "application/json"
	ContentBytes  = "application/octet-stream"
	ContentStream = "application/x-ndjson"
)

// Limits of what either side takes.
const (
	// MaxBodyBytes bounds a JSON body. JSON writes one byte in at most six.
	MaxBodyBytes = 8 * banger.MaxLaunchBytes
	// MaxLineBytes bounds one line of a stream: an event has a whole session in it.
	MaxLineBytes = MaxBodyBytes + 64<<10
	// DefaultConsoleBytes is how much of a console log is sent unless asked otherwise.
	DefaultConsoleBytes = 1 << 20
)

// Heartbeat is how often a stream of events has a line at least.
const Heartbeat = 15 * time.Second

// ErrorBody is the body of every answer that is not a success.
type ErrorBody struct {
	Error *banger.Error `json:"error"`
	// Accepted says, for stdin, what was accepted before the error.
	Accepted *banger.SendResult `json:"accepted,omitempty"`
}

// VMList is a list of VMs, oldest first.
type VMList struct {
	VMs []banger.VM `json:"vms"`
}

// SessionList is a page of a list of sessions, oldest first.
type SessionList struct {
	Sessions []banger.Session `json:"sessions"`
	Next     string           `json:"next,omitempty" doc:"there may be more: repeat the request with this as after"`
}

// SummaryList is a page of a list of summaries of sessions, oldest first.
//
// Its JSON is written and read by generated code: that of encoding/json takes four times
// as long.
//
//go:generate go tool -modfile=../tools.mod easyjson -no_std_marshalers -output_filename summarylist_json.go api.go
//easyjson:json
type SummaryList struct {
	Sessions []banger.SessionSummary `json:"sessions"`
	Next     string                  `json:"next,omitempty" doc:"there may be more: repeat the request with this as after"`
}

// ImageList is a list of images, oldest first.
type ImageList struct {
	Images []banger.Image `json:"images"`
}

// KernelList is a list of kernels, those that came first before.
type KernelList struct {
	Kernels []banger.Kernel `json:"kernels"`
}

// TrashList is what is in the trash, or what was removed from it, oldest first.
type TrashList struct {
	Trash []banger.Trashed `json:"trash"`
}

// CheckList is what the doctor found.
type CheckList struct {
	Checks []banger.Check `json:"checks"`
}

// ImageBuild asks for an image.
type ImageBuild struct {
	Name   string             `json:"name" required:"true" doc:"letters, digits, -, _ and ., beginning with a letter or digit; an older image of that name loses it"`
	Recipe banger.ImageRecipe `json:"recipe,omitzero"`
}

// BuildLine is a line of an image build: reports of progress, then the image or
// the error.
type BuildLine struct {
	Progress *banger.BuildProgress `json:"progress,omitempty"`
	Image    *banger.Image         `json:"image,omitempty"`
	Error    *banger.Error         `json:"error,omitempty"`
}

// PullLine is a line of a pull or an import: reports of progress, then the image or the
// error.
type PullLine struct {
	Progress *banger.PullProgress `json:"progress,omitempty"`
	Image    *banger.Image        `json:"image,omitempty"`
	Error    *banger.Error        `json:"error,omitempty"`
}

// KernelLine is a line of a pull of a kernel: reports of progress, then the kernel or the error.
type KernelLine struct {
	Progress *banger.BuildProgress `json:"progress,omitempty"`
	Kernel   *banger.Kernel        `json:"kernel,omitempty"`
	Error    *banger.Error         `json:"error,omitempty"`
}

// RemoteLine is a line of a login to a remote host: the steps that it takes, then the VM or
// the error.
type RemoteLine struct {
	Step  string        `json:"step,omitempty" doc:"the current step, in words for a user"`
	VM    *banger.VM    `json:"vm,omitempty"`
	Error *banger.Error `json:"error,omitempty"`
}

// LogLine is a line of a session's log: first the position at which the reading
// begins, then pieces of output, then the end or the error.
type LogLine struct {
	Cursor *banger.LogCursor `json:"cursor,omitempty"`
	*banger.LogChunk
	End   *banger.LogEnd `json:"end,omitempty"`
	Error *banger.Error  `json:"error,omitempty"`
}

// SearchLine is a line of a search: lines that match and sessions that could not be
// searched, then the end or the error.
type SearchLine struct {
	banger.SearchResult
	End   *banger.SearchEnd `json:"end,omitempty"`
	Error *banger.Error     `json:"error,omitempty"`
}

// EventLine is a line of the events: an event, or an error and then the end.
type EventLine struct {
	*banger.Event
	Error *banger.Error `json:"error,omitempty"`
}

// KindHeartbeat is the kind of a line that tells no event, but that all events up
// to its revision have been told.
const KindHeartbeat banger.EventKind = "heartbeat"
