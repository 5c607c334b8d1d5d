package banger

import (
	"cmp"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// SessionSummary is a session as lists show it: its Session without the details. Reading a
// thousand of them takes a tenth of the time.
type SessionSummary struct {
	ID          SessionID         `json:"id"`
	VMID        VMID              `json:"vm_id"`
	Name        string            `json:"name" doc:"unique within its VM"`
	CommandLine string            `json:"command_line" doc:"for display: roughly as typed in a shell, cut short if it is long"`
	TTY         bool              `json:"tty,omitempty" doc:"it runs on a pseudo-terminal"`
	Status      Status            `json:"status"`
	ExitCode    *int              `json:"exit_code" doc:"null unless it exited by itself; exit(3)"`
	ExitSignal  string            `json:"exit_signal,omitempty" doc:"SIGKILL and so on, if a signal ended it"`
	EndedBy     EndedBy           `json:"ended_by,omitempty"`
	StdoutBytes int64             `json:"stdout_bytes" doc:"bytes written to stdout"`
	StderrBytes int64             `json:"stderr_bytes" doc:"the same of stderr"`
	CreatedAt   time.Time         `json:"created_at" doc:"when it was recorded, by the host's clock"`
	StartedAt   time.Time         `json:"started_at,omitzero" doc:"when its command began to run, by the guest's clock"`
	EndedAt     time.Time         `json:"ended_at,omitzero" doc:"when it ended, by the guest's clock"`
	Tags        map[string]string `json:"tags,omitempty" doc:"names and values given to it"`
	Revision    int64             `json:"revision" doc:"the revision of the last event about it"`
}

// Ref returns the id and the name.
func (s SessionSummary) Ref() (id, name string) { return string(s.ID), s.Name }

// MaxCommandLineBytes is how much of a command SessionSummary.CommandLine shows.
const MaxCommandLineBytes = 1024

// Summary returns what a list shows of s. It shares s.Tags and s.ExitCode.
func (s Session) Summary() SessionSummary {
	return SessionSummary{
		ID: s.ID, VMID: s.VMID, Name: s.Name, CommandLine: strings.ToValidUTF8(s.CommandLine(MaxCommandLineBytes), string(utf8.RuneError)), TTY: s.TTY,
		Status: s.Status, ExitCode: s.ExitCode, ExitSignal: s.ExitSignal, EndedBy: s.EndedBy,
		StdoutBytes: s.StdoutBytes, StderrBytes: s.StderrBytes,
		CreatedAt: s.CreatedAt, StartedAt: s.StartedAt, EndedAt: s.EndedAt, Tags: s.Tags, Revision: s.Revision,
	}
}

const ellipsis = "…"

// loginShell stands for a shell whose name only the guest knows.
const loginShell = "-shell"

// CommandLine writes the command as one would type it in a shell, roughly: for the eye. It
// is cut if it is longer than most bytes; 0 means no limit.
func (l Launch) CommandLine(most int) string {
	most = cmp.Or(most, math.MaxInt-1)
	line := make([]byte, 0, 64)
	if l.LoginShell {
		line = append(line, loginShell...)
	} else {
		line = appendQuoted(line, string(l.Command[:min(len(l.Command), most+1)]))
	}
	for _, word := range l.Args {
		if len(line) > most {
			break
		}
		line = appendQuoted(append(line, ' '), string(word[:min(len(word), most+1)]))
	}
	if len(line) <= most {
		return string(line)
	}
	cut := most - len(ellipsis)
	for cut > 0 && !utf8.RuneStart(line[cut]) {
		cut--
	}
	return string(line[:cut]) + ellipsis
}

// appendQuoted writes a word for a shell.
func appendQuoted(line []byte, word string) []byte {
	if word != "" && !strings.ContainsAny(word, " \t\n\"'\\$`*?;&|<>()") {
		return append(line, word...)
	}
	return append(append(append(line, '\''), strings.ReplaceAll(word, "'", `'\''`)...), '\'')
}
