package banger

import "context"

// RemoteRequest asks to use a host that SSH reaches as a VM.
type RemoteRequest struct {
	Name         string        `json:"name" required:"true" doc:"a DNS label; unique"`
	SSH          string        `json:"ssh" required:"true" doc:"[user@]host[:port], as for the user's own ssh, whose configuration applies"`
	IdentityFile string        `json:"identity_file,omitempty" doc:"absolute path of a private key; tried first"`
	Answers      RemoteAnswers `json:"answers,omitzero"`
}

// RemoteAnswers are a user's answers to questions.
type RemoteAnswers struct {
	HostKeys    []string          `json:"host_keys,omitempty" doc:"fingerprints of accepted host keys"`
	Passphrases map[string]string `json:"passphrases,omitempty" doc:"by the path of the private key; kept in memory only"`
	AgentSocket string            `json:"agent_socket,omitempty" doc:"socket of the user's ssh-agent, absolute, in place of the daemon's; kept in memory only"`
}

// Question is what only the user can answer; it comes in an error with the code question.
type Question struct {
	Kind        QuestionKind `json:"kind"`
	Subject     string       `json:"subject" doc:"the host, or the file of the key"`
	Fingerprint string       `json:"fingerprint,omitempty" doc:"of a host key"`
	KeyType     string       `json:"key_type,omitempty" doc:"of a host key"`
	Again       bool         `json:"again,omitempty" doc:"the previous answer was wrong"`
}

// QuestionKind says what a question asks for.
type QuestionKind string

// The kinds of questions.
const (
	AskHostKey    QuestionKind = "host_key"   // is this key the host's?
	AskPassphrase QuestionKind = "passphrase" // of a private key
)

// RemoteService adds remote hosts to the VMs. Safe for concurrent use.
type RemoteService interface {
	// AddRemote logs in to a host, brings the agent there, and records it as a VM
	// that is running. What only the user can answer is CodeQuestion.
	AddRemote(ctx context.Context, r RemoteRequest) (VM, error)
	// UnlockRemote logs in to a host that was added, with answers that it then keeps
	// until the daemon ends.
	UnlockRemote(ctx context.Context, ref string, a RemoteAnswers) (VM, error)
}
