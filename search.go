package banger

import "time"

// SearchRequest asks for the lines that match in the output of many sessions; zero
// fields select all.
type SearchRequest struct {
	Pattern string            `query:"regex" required:"true" doc:"regular expression (RE2), applied to each line"`
	VMs     []string          `query:"vm" doc:"only sessions of this VM"` // refs
	Status  Status            `query:"status" doc:"only sessions with this status"`
	Tags    map[string]string `query:"tag" doc:"KEY=VALUE; only sessions with all the tags given"`
	Stream  Stream            `query:"stream" doc:"stdout, stderr or both, which is the default"`
	Since   time.Time         `query:"since" doc:"only output from this time on"`
	Until   time.Time         `query:"until" doc:"only output before the first output after this time, for each session"`
	Limit   int               `query:"limit" doc:"end after this number of lines"` // 0: no limit
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
	Epoch  Epoch     `json:"epoch,omitempty" doc:"the epoch in which offset counts"`
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
