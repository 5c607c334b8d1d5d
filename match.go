package banger

// MatchRequest asks for the first match in a session's output.
type MatchRequest struct {
	// Pattern is a regular expression in the syntax of package regexp (RE2). It is
	// looked for in each line without its end; $ is the end of a whole line. In a line
	// that has no end yet, a match counts as soon as nothing that may follow can undo it.
	Pattern string `query:"regex" required:"true" doc:"regular expression (RE2), applied to each line"`
	Stream  Stream `query:"stream" doc:"stdout, stderr or both, which is the default"`
	// Cursor is where to begin; nil is the beginning of the session.
	Cursor *LogCursor `query:"cursor" doc:"EPOCH:STDOUT,STDERR or STDOUT,STDERR: begin at these offsets; default: at the session's beginning"`
}

// MaxMatchLine is how much of a line is looked at at once: a longer one is looked
// at in pieces.
const MaxMatchLine = 64 << 10

// Match is a match in a session's output.
type Match struct {
	Stream Stream    `json:"stream"`
	Offset int64     `json:"offset" doc:"position of its first byte in the stream"`
	End    int64     `json:"end" doc:"position after its last byte"`
	Text   []byte    `json:"text" doc:"base64"`
	Next   LogCursor `json:"next" doc:"where to begin the search for the next match"`
}
