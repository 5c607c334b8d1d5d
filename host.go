package banger

import "context"

// CheckStatus is the result of one check of the host.
type CheckStatus string

// The results of a check.
const (
	CheckOK   CheckStatus = "ok"
	CheckWarn CheckStatus = "warn" // banger works, with less
	CheckFail CheckStatus = "fail" // banger does not work
)

// Check is one thing that banger needs of the host.
type Check struct {
	Name   string      `json:"name"`
	Status CheckStatus `json:"status"`
	Detail string      `json:"detail"`
	Hint   string      `json:"hint,omitempty" doc:"the next step"`
}

// DaemonInfo is what the daemon says of itself.
type DaemonInfo struct {
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	Socket   string `json:"socket"`
	StateDir string `json:"state_dir"`
	DataDir  string `json:"data_dir"`
	Revision int64  `json:"revision" doc:"of the newest event"`
	VMs      int    `json:"vms" doc:"records, running or not"`
	Sessions int    `json:"sessions" doc:"records, ended or not"`
}

// HostService tells about the host and the daemon itself.
type HostService interface {
	// Doctor checks everything that banger needs of the host. It may boot a
	// trial guest, which takes some seconds, once per host boot.
	Doctor(ctx context.Context) ([]Check, error)
	Info(ctx context.Context) (DaemonInfo, error)
	// Shutdown asks the daemon to end; machines and sessions go on.
	Shutdown(ctx context.Context) error
}
