package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"banger"
	"banger/internal/sessiondir"
	"banger/internal/signalname"
)

// Launch is the one message that a shim gets, as JSON on its socket, up to the end of
// what comes there. The session's directory has been made, its state.json says
// StatusStarting.
type Launch struct {
	Dir  string              `json:"dir"` // the session's directory, absolute
	Path banger.ByteString   `json:"path"`
	Argv []banger.ByteString `json:"argv"` // with the command's name as its first
	Env  []banger.ByteString `json:"env"`  // NAME=value, all there is
	Cwd  banger.ByteString   `json:"cwd"`
	// UID, GID and Groups are those of the command. The shim itself keeps its own.
	UID       uint32           `json:"uid"`
	GID       uint32           `json:"gid"`
	Groups    []uint32         `json:"groups,omitempty"`
	StdinMode banger.StdinMode `json:"stdin_mode"`
	TTY       bool             `json:"tty"`
	Window    *banger.Window   `json:"window,omitempty"` // first size of the terminal
	// LogLimit is how many bytes are kept at most of each output stream; 0: all.
	LogLimit int64 `json:"log_limit,omitempty"`
	// SyncWrites has each piece of output synced before the next is read.
	SyncWrites bool `json:"sync_writes,omitempty"`
	// Timeout ends the session after so long; 0: never. TimeoutGrace is the grace of
	// that stop.
	Timeout      time.Duration `json:"timeout,omitempty"`
	TimeoutGrace time.Duration `json:"timeout_grace,omitempty"`
	KeepChildren bool          `json:"keep_children,omitempty"`
	// StopSignal is what the command alone gets when the session is stopped, a name; empty:
	// everything gets SIGTERM.
	StopSignal string        `json:"stop_signal,omitempty"`
	Limits     banger.Limits `json:"limits,omitzero"`
	// CgroupRoot is a cgroup (v2) below which the shim may make its own; empty
	// if there is none, and then the tree of processes is what can be killed.
	CgroupRoot string `json:"cgroup_root,omitempty"`
}

// Report is the one message that a shim sends, as JSON on its socket: the state
// after the start, or why not even a state could be written.
type Report struct {
	State *sessiondir.State `json:"state,omitempty"`
	Error string            `json:"error,omitempty"`
}

// SocketFD is the file that a shim is started with beside the first three: a stream
// socket of the Unix domain, to whoever has started it. With the first byte of the
// launch comes the session's lock, held: SCM_RIGHTS, unix(7); see package sessiondir.
const SocketFD = 3

// Bounds of the two messages: a launch of banger.MaxLaunchBytes whose every byte
// JSON has to escape, and a state with its texts.
const (
	MaxLaunchMessage = 16 << 20
	MaxReportMessage = sessiondir.MaxStateBytes + 4096
)

// errUnused says that whoever started the shim has ended without a launch for it.
var errUnused = errors.New("there is no launch")

func readLaunch(r io.Reader) (Launch, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxLaunchMessage+1))
	if err != nil {
		return Launch{}, fmt.Errorf("cannot read launch: %w", err)
	}
	if len(data) == 0 {
		return Launch{}, errUnused
	}
	if len(data) > MaxLaunchMessage {
		return Launch{}, fmt.Errorf("cannot read launch: it has more than %d bytes", MaxLaunchMessage)
	}
	var l Launch
	if err := json.Unmarshal(data, &l); err != nil {
		return Launch{}, fmt.Errorf("cannot read launch: %w", err)
	}
	if l.Dir == "" || l.Path == "" || len(l.Argv) == 0 {
		return Launch{}, errors.New("cannot read launch: it has no directory or no command")
	}
	if l.StopSignal != "" && signalname.Parse(l.StopSignal) == 0 {
		return Launch{}, fmt.Errorf("cannot read launch: its stop signal %.40q is not a signal", l.StopSignal)
	}
	return l, nil
}

// SocketPath is the path of the session's socket by way of its opened directory: a
// socket's own path may have 107 bytes at most (unix(7)), a session's may be
// longer.
func SocketPath(dir *os.File) string {
	return "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + sessiondir.SocketName
}
