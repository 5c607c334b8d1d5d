package sshhost

import (
	"banger"
)

// QuestionKind is what only the user can answer.
type QuestionKind string

// The kinds.
const (
	AskHostKey    QuestionKind = "host_key"   // whether the key is that of the host
	AskPassphrase QuestionKind = "passphrase" // of a private key
)

// Question is what only the user can answer.
type Question struct {
	Kind        QuestionKind `json:"kind"`
	Subject     string       `json:"subject"`               // the host as it is looked up in known_hosts, or the key's file
	Fingerprint string       `json:"fingerprint,omitempty"` // of the key, "SHA256:…"; "" if it is not known
	KeyType     string       `json:"key_type,omitempty"`    // "ssh-ed25519"
	Again       bool         `json:"again,omitempty"`       // the answer that was given is wrong
}

// QuestionError is the failure of a [Dialer.Dial] that would perhaps succeed with an
// answer. It unwraps to a *banger.Error.
type QuestionError struct {
	Question
	err *banger.Error
}

// Error implements error.
func (e *QuestionError) Error() string { return e.err.Error() }

// Unwrap returns the error as one for who cannot answer.
func (e *QuestionError) Unwrap() error { return e.err }

// Answers are what the user has said. Passphrases are never kept or logged.
type Answers struct {
	HostKeys    []string          // fingerprints that were accepted, "SHA256:…"
	Passphrases map[string]string // by Question.Subject
	AgentSocket string            // in place of the Dialer's, if not empty
}

func askHostKey(q Question) *QuestionError {
	q.Kind = AskHostKey
	return &QuestionError{q, banger.Errorf(banger.CodeMissing,
		"the host key of %s is not known: %s key %s", q.Subject, q.KeyType, q.Fingerprint).
		WithHint("compare the fingerprint with the host's, and accept it on a terminal or by logging in once with ssh")}
}

func askPassphrase(q Question) *QuestionError {
	q.Kind = AskPassphrase
	what := "is needed"
	if q.Again {
		what = "is wrong"
	}
	return &QuestionError{q, banger.Errorf(banger.CodeMissing, "the passphrase of key %s %s", q.Subject, what).
		WithHint("give it on a terminal, or load the key into your agent: ssh-add %s", shellWord(q.Subject))}
}
