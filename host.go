package banger

import "context"

// CheckStatus is the result of one check of the host.
type CheckStatus string

// The results of a check.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn" // banger works, with limitations
	CheckFail CheckStatus = "fail" // banger does not work
)

// Check is one thing that banger needs of the host.
type Check struct {
	Name   string      `json:"name" doc:"what was checked"`
	Status CheckStatus `json:"status"`
	Detail string      `json:"detail" doc:"what was found"`
	Hint   string      `json:"hint,omitempty" doc:"the next step"`
}

// DaemonInfo describes the running daemon.
type DaemonInfo struct {
	Version  string `json:"version" doc:"version of the daemon's build"`
	PID      int    `json:"pid" doc:"the daemon's process"`
	Socket   string `json:"socket" doc:"path of the socket on which it serves this API"`
	StateDir string `json:"state_dir" doc:"directory of its records and the disks of VMs"`
	DataDir  string `json:"data_dir" doc:"directory of images"`
	Revision int64  `json:"revision" doc:"of the newest event"`
	VMs      int    `json:"vms" doc:"records, running or not"`
	Sessions int    `json:"sessions" doc:"records, ended or not"`
}

// HostService reports on the host and on the daemon itself.
type HostService interface {
	// Doctor checks everything that banger needs of the host. It may boot a
	// trial guest, which takes some seconds, once per host boot.
	// With deep set it also reads every byte of every image, which takes a while.
	Doctor(ctx context.Context, deep bool) ([]Check, error)
	Info(ctx context.Context) (DaemonInfo, error)
	// Shutdown asks the daemon to end; VMs and sessions keep running.
	Shutdown(ctx context.Context) error
}
