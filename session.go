package banger

import (
	"context"
	"time"
)

// Status says where a session is in its life; docs/STATES.md has the table.
type Status string

// The statuses of a session; docs/STATES.md has what may follow which.
const (
	StatusStarting Status = "starting"
	StatusRunning  Status = "running"
	StatusStopping Status = "stopping"
	StatusExited   Status = "exited" // the command ended with status 0
	StatusFailed   Status = "failed" // anything else; see ExitCode, ExitSignal, EndedBy
)

// Ended reports whether the status is final.
func (s Status) Ended() bool { return s == StatusExited || s == StatusFailed }

// Statuses returns all statuses in the order of a session's life.
func Statuses() []Status {
	return []Status{StatusStarting, StatusRunning, StatusStopping, StatusExited, StatusFailed}
}

// EndedBy says what ended a session.
type EndedBy string

// The causes of an end.
const (
	EndedByExit      EndedBy = "exit"       // the command exited by itself
	EndedBySignal    EndedBy = "signal"     // a signal, and no stop was requested
	EndedByStop      EndedBy = "stop"       // a stop was requested, however the command reacted
	EndedByKill      EndedBy = "kill"       // a kill was requested
	EndedByTimeout   EndedBy = "timeout"    // its time limit ran out
	EndedByOOM       EndedBy = "oom"        // the kernel's out-of-memory killer
	EndedByLaunch    EndedBy = "launch"     // it never ran; see LaunchStage
	EndedByShimLost  EndedBy = "shim_lost"  // its shim died, so its exit status cannot be known
	EndedByVMStopped EndedBy = "vm_stopped" // the guest was shut down while it ran
	EndedByVMLost    EndedBy = "vm_lost"    // the machine died while it ran
)

// LaunchStage names the step at which a launch failed.
type LaunchStage string

// The stages, in their order.
const (
	StageSSHUnavailable   LaunchStage = "ssh_unavailable"
	StageDialGuest        LaunchStage = "dial_guest" // the launch did not arrive: the daemon or the link died first
	StageUploadAgent      LaunchStage = "upload_agent"
	StagePreflightCwd     LaunchStage = "preflight_cwd"
	StagePreflightCommand LaunchStage = "preflight_command"
	StageLaunch           LaunchStage = "launch"
)

// LaunchCause says, for programs, why the command of a failed launch could not be executed.
type LaunchCause string

// The causes. They are those that shells and env(1) have exit statuses for, 127 and 126.
const (
	LaunchCommandNotFound      LaunchCause = "command_not_found"      // it, its interpreter or its dynamic loader does not exist
	LaunchCommandNotExecutable LaunchCause = "command_not_executable" // it exists, and the system does not execute it
)

// StdinMode says what a session's standard input is.
type StdinMode string

// The stdin modes.
const (
	StdinClosed StdinMode = "closed" // /dev/null: a read gets end-of-file at once
	StdinPipe   StdinMode = "pipe"   // fed by send until an explicit end-of-file
)

// Stream names one output of a session.
type Stream string

// The output streams. A tty session has stdout only.
const (
	StreamStdout Stream = "stdout"
	StreamStderr Stream = "stderr"
	StreamBoth   Stream = "both" // in requests: as they interleaved
)

// Launch is what a session runs: immutable, given to the guest as it is. There
// is no shell in it: Command is looked up in the guest's PATH as execvp(3) does.
type Launch struct {
	Command          ByteString            `json:"command" required:"true" doc:"looked up in the PATH of the session; no shell is involved. Empty with login_shell"`
	Args             []ByteString          `json:"args" doc:"without the command itself"`
	LoginShell       bool                  `json:"login_shell,omitempty" doc:"the command is the user's shell in the guest's passwd, as at a login: the first character of its argv[0] is -. A guest whose agent is older refuses it"`
	Cwd              ByteString            `json:"cwd,omitempty" doc:"absolute; default: the user's home"`
	Env              map[string]ByteString `json:"env,omitempty" doc:"added to the login environment"`
	User             string                `json:"user,omitempty" doc:"USER, or USER:GROUP, by name or number in the guest's passwd and group; default: that of the image, else root"`
	RequiredCommands []ByteString          `json:"required_commands,omitempty" doc:"names of programs; the launch fails if one is not found"`
	StdinMode        StdinMode             `json:"stdin_mode" doc:"default: closed, on a terminal pipe"`
	TTY              bool                  `json:"tty" doc:"run on a pseudo-terminal"`
	Window           *Window               `json:"window,omitempty" doc:"first size of the terminal; default 24 rows of 80"`
	LogLimit         int64                 `json:"log_limit,omitempty" doc:"maximum number of bytes kept of each output stream, the newest; -1: all; default 268435456"`
	SyncWrites       bool                  `json:"sync_writes,omitempty" doc:"sync each piece of output to the disk before the next is read, so that a crash loses none; slow"`
	TimeoutMS        int64                 `json:"timeout_ms,omitempty" doc:"milliseconds after which the session is stopped; default: never"`
	TimeoutGraceMS   *int64                `json:"timeout_grace_ms,omitempty" doc:"milliseconds between the stop signal and SIGKILL of that stop; default 10000"`
	StopSignal       string                `json:"stop_signal,omitempty" doc:"sent to the command alone when the session is stopped, a name or number; default: for the image's own command that of the image, else SIGTERM to every process. A guest whose agent is older sends SIGTERM"`
	KeepChildren     bool                  `json:"keep_children,omitempty" doc:"leave processes that outlive the command running; if they write to the session's output they get SIGPIPE"`
	Limits           Limits                `json:"limits,omitzero"`
}

// Limits bound what the processes of a session can have together; a zero field
// bounds nothing. They are those of cgroup v2: a launch fails where the guest has none.
type Limits struct {
	MemoryBytes int64   `json:"memory_bytes,omitempty" doc:"memory.max; above it the kernel's out-of-memory killer ends a process"`
	CPUs        float64 `json:"cpus,omitempty" doc:"cpu.max: CPU seconds per second"`
	PIDs        int64   `json:"pids,omitempty" doc:"pids.max: processes and threads"`
}

// Launch.LogLimit, in bytes.
const (
	DefaultLogLimit = 256 << 20
	MinLogLimit     = 64 << 10
	NoLogLimit      = -1
)

// Window is the size of a terminal in character cells.
type Window struct {
	Rows uint16 `json:"rows" doc:"lines, at least 1"`
	Cols uint16 `json:"cols" doc:"columns, at least 1"`
}

// SessionState is what the guest knows of a session: the shim writes it, the
// daemon copies it. Times are the guest's.
type SessionState struct {
	Status        Status      `json:"status"`
	GuestPID      int         `json:"guest_pid,omitempty" doc:"of the command"`
	ExitCode      *int        `json:"exit_code" doc:"null unless it exited by itself; exit(3)"`
	ExitSignal    string      `json:"exit_signal,omitempty" doc:"SIGKILL and so on, if a signal ended it"`
	EndedBy       EndedBy     `json:"ended_by,omitempty"`
	LaunchStage   LaunchStage `json:"launch_stage,omitempty" doc:"where a launch failed"`
	LaunchCause   LaunchCause `json:"launch_cause,omitempty" doc:"whether a launch failed because the command was not found or could not be executed; absent: it failed otherwise, or in a guest whose agent is older"`
	LaunchMessage string      `json:"launch_message,omitempty" doc:"why a launch failed, for people"`
	LaunchRawLog  string      `json:"launch_raw_log,omitempty" doc:"what the system said, unedited"`
	LastError     string      `json:"last_error,omitempty" doc:"what went wrong around it, for people"`
	StdinOffset   int64       `json:"stdin_offset" doc:"bytes of stdin accepted so far"`
	StdinEOF      bool        `json:"stdin_eof" doc:"stdin has been closed"`
	StdoutBytes   int64       `json:"stdout_bytes" doc:"bytes written to stdout, including those no longer kept"`
	StderrBytes   int64       `json:"stderr_bytes" doc:"the same of stderr"`
	StartedAt     time.Time   `json:"started_at,omitzero" doc:"when its command began to run, by the guest's clock; absent until then"`
	EndedAt       time.Time   `json:"ended_at,omitzero" doc:"when it ended, by the guest's clock; absent until then"`
	StopSteps     []StopStep  `json:"stop_steps,omitempty" doc:"the steps taken to end it, in order"`
	Usage         Usage       `json:"usage,omitzero"`
	Survivors     *Survivors  `json:"survivors,omitempty" doc:"with keep_children: the processes that outlived the command; absent if they were killed, or their VM has ended"`
	// Sequence grows with each change of the state, so that an old report never
	// overwrites a newer one.
	Sequence int64 `json:"sequence" doc:"grows with each change of the state"`
}

// NeverArrived reports whether a session ended before its launch had arrived in the
// guest: nothing of it ran, and nothing ever will.
func (s SessionState) NeverArrived() bool {
	return s.EndedBy == EndedByLaunch &&
		(s.LaunchStage == StageSSHUnavailable || s.LaunchStage == StageDialGuest || s.LaunchStage == StageUploadAgent)
}

// StopStep is one thing that was done to end a session.
type StopStep struct {
	At     time.Time `json:"at" doc:"when, by the guest's clock"`
	Signal string    `json:"signal" doc:"the session's stop signal, SIGTERM by default, or SIGKILL to every process"`
	Cause  EndedBy   `json:"cause" doc:"stop, kill, timeout or vm_stopped"`
	By     string    `json:"by,omitempty" doc:"the requester, as given in the request; empty if a grace period or a time limit expired"`
}

// MaxStopSteps bounds SessionState.StopSteps: the first ones are kept, and the last.
const MaxStopSteps = 8

// Usage is what all processes of a session have used together.
type Usage struct {
	CPUTimeUS       int64 `json:"cpu_time_us,omitempty" doc:"microseconds"`
	MemoryPeakBytes int64 `json:"memory_peak_bytes,omitempty" doc:"memory.peak of the cgroup; without one, the largest process's"`
	OOMKills        int64 `json:"oom_kills,omitempty" doc:"processes that the out-of-memory killer has ended"`
}

// Survivors are the processes that a session left when its command ended.
type Survivors struct {
	Count     int       `json:"count" doc:"how many there are"`
	Processes []Process `json:"processes" doc:"the first 32"`
}

// MaxSurvivors bounds Survivors.Processes.
const MaxSurvivors = 32

// Process is a process in a guest.
type Process struct {
	PID     int    `json:"pid" doc:"its id in the guest"`
	Command string `json:"command" doc:"the first bytes of its program's name; proc(5), comm"`
}

// Session is the record of one durable command in a guest.
type Session struct {
	ID   SessionID `json:"id" doc:"unique within its VM; a fork of the VM has a session with the same id"`
	VMID VMID      `json:"vm_id"`
	Name string    `json:"name" doc:"unique within its VM"`
	Launch
	SecretEnv []string `json:"secret_env,omitempty" doc:"names of the variables whose values are not stored anywhere"`
	SessionState
	Backend       string            `json:"backend" doc:"how the daemon reaches the guest: ssh"`
	AttachBackend string            `json:"attach_backend" doc:"what serves attachments in the guest while the session runs: shim; those to an ended session are served by the daemon"`
	AttachMode    string            `json:"attach_mode" doc:"what the command has as its standard streams: pipe or tty"`
	Attachable    bool              `json:"attachable" doc:"always true: no status of a session refuses an attach, and an ended session gives its output; a paused VM refuses a new attachment"`
	Reattachable  bool              `json:"reattachable" doc:"always true: an attachment continues on its next connection, also with another daemon"`
	GuestStateDir string            `json:"guest_state_dir" doc:"the session's directory in its guest; while the session is starting, where it will be in a VM of banger's own"`
	StdoutLogPath string            `json:"stdout_log_path" doc:"the log of stdout in its guest; see guest_state_dir"`
	StderrLogPath string            `json:"stderr_log_path,omitempty" doc:"empty with tty"`
	Tags          map[string]string `json:"tags,omitempty" doc:"names and values given to it, for filters"`
	CreatedAt     time.Time         `json:"created_at" doc:"when it was recorded, by the host's clock"`
	UpdatedAt     time.Time         `json:"updated_at" doc:"when its record last changed, by the host's clock"`
	Epoch         Epoch             `json:"epoch" doc:"the epoch of its VM, in which the positions and counts of bytes in this record count"`
	EndSeenAt     time.Time         `json:"end_seen_at,omitzero" doc:"when the daemon recorded the end, by a clock that setting the host's clock does not change and that may differ from it; retention counts from this"`
	Revision      int64             `json:"revision" doc:"the revision of the last event about it"`
	// What only a session in short has, as events and lists carry it.
	EnvNames  []string `json:"env_names,omitempty" doc:"only in events: the names of env, whose values are in the session itself"`
	LaunchCut bool     `json:"launch_cut,omitempty" doc:"only in events: the launch is too long for an event, so args is cut short and other members may be missing"`
}

// Ref returns the id and the name.
func (s Session) Ref() (id, name string) { return string(s.ID), s.Name }

// SessionRequest asks for a new session.
type SessionRequest struct {
	Launch
	SecretEnv      SecretEnv         `json:"secret_env,omitempty" doc:"added to the login environment, like env; the values are not stored anywhere, so a launch that is interrupted by the daemon's death must be requested again"`
	Name           string            `json:"name,omitempty" doc:"default: the command's base name and a short id"`
	Tags           map[string]string `json:"tags,omitempty" doc:"at most 64, to find the session by; key and value together at most 4096 bytes"`
	IdempotencyKey string            `json:"idempotency_key,omitempty" doc:"at most 255 bytes, unique in the VM: a repeated request returns the first session with the key, unless its launch never reached the guest (launch_stage ssh_unavailable, dial_guest or upload_agent): then the key, and the name if it is requested again, pass to a new session"`
	NoWait         bool              `json:"no_wait,omitempty" doc:"answer when the session is recorded, before its command runs: clients can attach to it and wait for it at once"`
}

// SessionFilter selects sessions; zero fields select all.
type SessionFilter struct {
	VM     string            `query:"vm" doc:"only those of this VM"` // ref
	Status Status            `query:"status" doc:"only those with this status"`
	Tags   map[string]string `query:"tag" doc:"KEY=VALUE; only those with all the tags given"` // all must match
}

// Match reports whether the filter selects a session of its VM.
func (f SessionFilter) Match(x Session) bool {
	if f.Status != "" && x.Status != f.Status {
		return false
	}
	for key, value := range f.Tags {
		if got, ok := x.Tags[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// MaxPageSessions bounds a page of sessions.
const MaxPageSessions = 1000

// SessionService starts, finds and removes sessions. A ref is an exact id, an
// exact name or a unique prefix of either. Safe for concurrent use.
type SessionService interface {
	// StartSession returns when the command runs or the launch has failed, or with
	// NoWait before that; a failed launch is a Session, not an error.
	StartSession(ctx context.Context, vm string, r SessionRequest) (Session, error)
	ListSessions(ctx context.Context, f SessionFilter) ([]Session, error)
	// SummarizeSessions is ListSessions for a table of them.
	SummarizeSessions(ctx context.Context, f SessionFilter) ([]SessionSummary, error)
	// PageSessions is a part of ListSessions: at most limit sessions, MaxPageSessions if
	// that is 0, and fewer if they are large, after the place that another page returned
	// as next; after "" it begins. At the end next is "". A session that exists all the
	// while is in exactly one page.
	PageSessions(ctx context.Context, f SessionFilter, after string, limit int) (page []Session, next string, err error)
	// PageSummaries is the same of SummarizeSessions.
	PageSummaries(ctx context.Context, f SessionFilter, after string, limit int) (page []SessionSummary, next string, err error)
	GetSession(ctx context.Context, vm, session string) (Session, error)
	// InspectSession is GetSession with the counters as they are at this moment,
	// if its guest can be asked.
	InspectSession(ctx context.Context, vm, session string) (Session, error)
	// RemoveSession deletes an ended session with its logs, and kills what has outlived
	// its command; one that has not
	// ended is refused with CodeState unless force is set, which kills it first.
	RemoveSession(ctx context.Context, vm, session string, force bool) error
	// WaitSession returns when the session has ended, or with ctx.
	WaitSession(ctx context.Context, vm, session string) (Session, error)
	// PruneSessions removes the ended sessions of each VM that r names. Those of a VM
	// that does not run, or does not answer, are left. A request that has no criterion
	// is CodeInvalid.
	PruneSessions(ctx context.Context, r PruneRequest) (PruneResult, error)
}

// SessionStreams carries what goes into and comes out of sessions. Both at once is
// package sessionstream's. Safe for concurrent use.
type SessionStreams interface {
	// SendSession feeds stdin until r.Data is empty, then closes it if r.EOF is
	// set. The result is valid with an error too: it says what was accepted.
	SendSession(ctx context.Context, vm, session string, r SendRequest) (SendResult, error)
	// ReadLogs calls fn with each piece, in order, until the range is read, or
	// with Follow until the session has ended. An error of fn ends the reading
	// and is returned; the end then says how far it came before that piece.
	ReadLogs(ctx context.Context, vm, session string, r LogRequest, fn func(LogChunk) error) (LogEnd, error)
	// MatchSession returns the first match in a session's output, whenever that
	// was or will be written. If the session ends without one, the error is
	// CodeState.
	MatchSession(ctx context.Context, vm, session string, r MatchRequest) (Match, error)
	// SearchSessions calls fn with each line that matches in the output of many
	// sessions, of running VMs and of stopped ones, and with each session that could
	// not be searched. What one session wrote comes in order, several VMs side by side;
	// fn is never called concurrently. An error of fn ends the search and is returned.
	SearchSessions(ctx context.Context, r SearchRequest, fn func(SearchResult) error) (SearchEnd, error)
}

// SessionControl acts on sessions. Safe for concurrent use.
type SessionControl interface {
	// StopSession asks the command to end (Launch.StopSignal) and kills it after a grace, or kills
	// it at once. It returns when the session has ended.
	StopSession(ctx context.Context, vm, session string, r StopRequest) (Session, error)
	// SignalSession sends a signal, once. A session that has ended is CodeState. If
	// it is unknown whether the signal was sent, the error is CodeUnavailable.
	SignalSession(ctx context.Context, vm, session string, r SignalRequest) error
}

// StopRequest says how a session is to end.
//
// The zero value is a stop with DefaultStopGrace.
type StopRequest struct {
	// Kill ends every process at once (SIGKILL), those that outlived the command of a
	// session (Launch.KeepChildren) too. There is no Grace then.
	Kill bool `query:"kill" doc:"kill every process at once; not together with grace_ms"`
	// Grace is the time between the stop signal and SIGKILL, at most MaxStopGrace; 0 is
	// DefaultStopGrace.
	Grace time.Duration `query:"grace_ms" min:"1" hint:"end it at once with kill=true" doc:"grace period: milliseconds until every process is killed, at least 1; default 10000"`
	By    string        `query:"by" doc:"the requester, for the record"` // at most MaxRequesterBytes
}

// WithDefaults returns the request with its grace set: that of a kill is 0.
func (r StopRequest) WithDefaults() StopRequest {
	if r.Grace == 0 && !r.Kill {
		r.Grace = DefaultStopGrace
	}
	return r
}

// MaxRequesterBytes bounds StopRequest.By.
const MaxRequesterBytes = 256

// SignalRequest asks for a signal.
type SignalRequest struct {
	Signal string `query:"signal" required:"true" doc:"a name such as SIGHUP or hup, or a number"` // signal(7)
	All    bool   `query:"all" doc:"to every process of the session, not only to the command"`
}

// DefaultStopGrace is the time between SIGTERM and SIGKILL of a stop.
const DefaultStopGrace = 10 * time.Second
