package banger

import "time"

// SearchRequest asks for the lines that match in the output of many sessions; zero
// fields select all.
type SearchRequest struct {
	Pattern string   // see LogRequest.Grep; not empty
	VMs     []string // refs
	Status  Status
	Tags    map[string]string // all must match
	Stream  Stream            // default StreamBoth
	Since   time.Time         // as in LogRequest, of each session
	Until   time.Time
	Limit   int // end after so many lines; 0: no limit
}

// SearchResult is one piece of what a search finds out; exactly one field is set.
type SearchResult struct {
	Hit     *SearchHit     `json:"hit,omitempty" doc:"a line that matches"`
	Failure *SearchFailure `json:"failure,omitempty" doc:"a session that could not be searched completely"`
}

// SearchHit is a line that matches.
type SearchHit struct {
	SessionPlace
	Stream Stream    `json:"stream"`
	Offset int64     `json:"offset" doc:"position of the line's first byte in its stream"`
	Time   time.Time `json:"time,omitzero" doc:"when the line began, by the guest's clock; absent if unknown"`
	Line   []byte    `json:"line" doc:"base64; includes the end of the line, if there is one"`
}

// SearchFailure reports why a session could not be searched.
type SearchFailure struct {
	SessionPlace
	Error *Error `json:"error"`
}

// SessionPlace names a session.
type SessionPlace struct {
	VMID      VMID      `json:"vm_id"`
	VM        string    `json:"vm" doc:"its name"`
	SessionID SessionID `json:"session_id"`
	Session   string    `json:"session" doc:"its name"`
}

// SearchEnd sums up a search.
type SearchEnd struct {
	Sessions int  `json:"sessions" doc:"sessions selected, as far as the search got"`
	Lines    int  `json:"lines" doc:"lines found"`
	Failures int  `json:"failures" doc:"sessions that could not be searched"`
	Limited  bool `json:"limited" doc:"the search ended at its limit; there may be more lines"`
}
