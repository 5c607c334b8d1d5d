package banger

import (
	"errors"
	"fmt"
)

// Code classifies an error.
//
// Codes are append-only: each has one HTTP status (package
// api) and one exit status (internal/cli).
type Code string

// The codes.
const (
	CodeInvalid     Code = "invalid"             // the request is invalid in every state
	CodeNotFound    Code = "not_found"           // nothing has that name
	CodeAmbiguous   Code = "ambiguous"           // several things have that prefix; see candidates
	CodeExists      Code = "already_exists"      // the name is taken
	CodeInUse       Code = "in_use"              // something else still needs it
	CodeState       Code = "wrong_state"         // right request, wrong time: a VM that is not running
	CodeUnavailable Code = "unavailable"         // the guest or the daemon cannot be reached now
	CodeTimeout     Code = "timeout"             // a time limit of the request ran out
	CodeMissing     Code = "missing_requirement" // the host lacks a program, a permission or disk space
	CodeCorrupt     Code = "corrupt"             // a file that banger wrote is damaged
	CodeGone        Code = "gone"                // it existed, and is no longer kept
	CodeMismatch    Code = "version_mismatch"    // two builds of banger that cannot work together
	CodeQuestion    Code = "question"            // only the user can answer; see question
	CodeInternal    Code = "internal"            // a bug in banger
	CodeStaleEpoch  Code = "stale_epoch"         // a position is of another branch of the VM's life; see parted
)

// Codes returns all codes, in their order.
func Codes() []Code {
	return []Code{
		CodeInvalid, CodeNotFound, CodeAmbiguous, CodeExists, CodeInUse, CodeState, CodeUnavailable, CodeTimeout,
		CodeMissing, CodeCorrupt, CodeGone, CodeMismatch, CodeQuestion, CodeInternal,
		CodeStaleEpoch,
	}
}

// Error is an error a user may act on.
type Error struct {
	Code       Code     `json:"code"`
	Message    string   `json:"message"`              // "cannot VERB NOUN NAME: cause"; for people, it may change
	Hint       string   `json:"hint,omitempty"`       // the next step, as a sentence
	Candidates []string `json:"candidates,omitempty"` // with the codes ambiguous and not_found: what could have been meant
	// Question, with the code question, is asked of the user, who then repeats the request
	// with the answer.
	Question *Question `json:"question,omitempty"`
	// Parted, with the code stale_epoch, is the point up to which the session has what the
	// position refers to.
	Parted *Parting `json:"parted,omitempty"`
	Err    error    `json:"-"` // the cause, not sent over the wire
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// WithHint returns a copy that names the next step.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// Errorf makes an Error with a code; %w keeps the cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// CodeOf returns the code of the outermost Error in err's chain, CodeInternal
// if there is none, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
