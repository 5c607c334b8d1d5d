package transfer

import (
	"banger"
)

// Op is what a client wants.
type Op string

// The operations.
const (
	Read  Op = "read"  // the server sends
	Write Op = "write" // the server receives
)

// Request begins a copy.
type Request struct {
	Op   Op                `json:"op"`
	Path banger.ByteString `json:"path"` // at the server; a relative one begins in the home of the user
	User string            `json:"user,omitempty"`
	// Follow has a path that is a link mean what it leads to.
	Follow bool `json:"follow,omitempty"`
	// Owners keeps owners, and what only makes sense with them.
	Owners bool `json:"owners,omitempty"`
	// Source is what is written.
	Source *Source `json:"source,omitempty"`
}

// Form is what kind of thing is copied.
type Form string

// The forms.
const (
	FormFile Form = "file"
	FormDir  Form = "directory"
	FormLink Form = "symbolic link"
)

// Source is what is copied, as far as whoever receives it has to know to find its place.
type Source struct {
	Name banger.ByteString `json:"name"` // by which it goes into a directory
	Form Form              `json:"form"`
	// Contents says that what is in the directory is copied, not the directory.
	Contents bool  `json:"contents,omitempty"`
	Size     int64 `json:"size,omitempty"` // of a file
	Data     int64 `json:"data,omitempty"` // of a file: how much of it is no hole, about
	// Identity changes with the file and its content: where it lies, and what stat(2) says of
	// it. A copy is resumed only of the same one.
	Identity string `json:"identity,omitempty"`
}

// Answer is the answer to a request.
type Answer struct {
	Error  *banger.Error `json:"error,omitempty"`
	Source *Source       `json:"source,omitempty"` // to a read
	Have   *Have         `json:"have,omitempty"`   // to a write
	// Note says what a user should know of the source: that a disk was not clean, say.
	Note string `json:"note,omitempty"`
}

// Have is what a receiver has of a file already.
type Have struct {
	Bytes  int64  `json:"bytes,omitempty"`
	Digest uint64 `json:"digest,omitempty,string"` // of these bytes
}

// End is the last word of a sender.
type End struct {
	Entries int64  `json:"entries"`
	Error   string `json:"error,omitempty"` // why the rest does not come
}

// Result is what has become of a copy.
type Result struct {
	Files    int64     `json:"files"`
	Bytes    int64     `json:"bytes"`
	Resumed  int64     `json:"resumed,omitempty"` // of Bytes: how many were there already
	Problems []Problem `json:"problems,omitempty"`
	More     int64     `json:"more,omitempty"` // further problems
	// Error is why the copy as a whole was given up; Kept the name beside the target under which
	// the beginning of a file is kept.
	Error *banger.Error     `json:"error,omitempty"`
	Kept  banger.ByteString `json:"kept,omitempty"`
}

// Problem is an entry that was not copied.
type Problem struct {
	Path    banger.ByteString `json:"path"` // below what is copied; empty for that itself
	Message string            `json:"message"`
}

// maxProblems bounds how many are told; maxMessageBytes what each says.
const (
	maxProblems     = 100
	maxMessageBytes = 1000
)

// add notes a problem.
func (r *Result) add(path, message string) {
	if len(r.Problems) >= maxProblems {
		r.More++
		return
	}
	if len(message) > maxMessageBytes {
		message = message[:maxMessageBytes]
	}
	if len(path) > maxMessageBytes {
		path = "…" + path[len(path)-maxMessageBytes:]
	}
	r.Problems = append(r.Problems, Problem{banger.ByteString(path), message})
}
