package banger

import "time"

// Retention says which ended sessions of a VM are given up: each that any of its
// criteria names. The zero value names none. When a session ended is when the daemon saw
// that, by its own clock (Session.EndSeenAt). Sessions with Survivors are not among them,
// nor counted.
type Retention struct {
	OlderThan time.Duration `query:"older_than_ms" doc:"criterion: it ended at least this long ago"`                // 0: no criterion
	Keep      *int          `query:"keep" doc:"criterion: it is not among this number of sessions that ended last"` // nil: no criterion
	// MaxBytes: those whose logs, with the logs of all that ended later, are more than
	// this number of bytes; 0: no criterion.
	MaxBytes int64 `query:"max_bytes" doc:"criterion: its logs and those of all sessions that ended later exceed this number of bytes"`
}

// IsZero reports whether r has no criterion.
func (r Retention) IsZero() bool { return r.OlderThan == 0 && r.Keep == nil && r.MaxBytes == 0 }

// Validate checks what can be wrong with a criterion.
func (r Retention) Validate() error {
	switch {
	case r.OlderThan < 0:
		return Errorf(CodeInvalid, "older-than must not be negative: %s", r.OlderThan)
	case r.Keep != nil && *r.Keep < 0:
		return Errorf(CodeInvalid, "cannot keep %d sessions: that is negative", *r.Keep)
	case r.MaxBytes < 0:
		return Errorf(CodeInvalid, "cannot keep %d bytes of logs: that is negative", r.MaxBytes)
	}
	return nil
}

// PruneRequest asks for ended sessions to be removed; VM and Tags select as in
// SessionFilter, and only what they select is counted.
type PruneRequest struct {
	VM   string            `query:"vm" doc:"only those of this VM"` // ref
	Tags map[string]string `query:"tag" doc:"KEY=VALUE; only those with all the tags given"`
	Retention
	DryRun bool `query:"dry_run" doc:"only report what would be removed"`
}

// PruneResult reports what was removed, or would be, and what had to be left.
type PruneResult struct {
	Removed []PrunedSession `json:"removed"`
	Left    []PrunedSession `json:"left" doc:"sessions that could not be removed"`
}

// PrunedSession is a session that was to be removed.
type PrunedSession struct {
	SessionPlace
	EndedAt time.Time `json:"ended_at,omitzero" doc:"when it ended"`
	Bytes   int64     `json:"bytes" doc:"bytes in its logs"`
	Reason  string    `json:"reason" doc:"the criterion that selected it: older-than, keep or max-size"`
	Error   *Error    `json:"error,omitempty" doc:"why it was not removed"`
}
