package api

import (
	"context"
	"net/http"

	"banger"
)

// DeleteVMRequest is the request of DeleteVM.
type DeleteVMRequest struct {
	VM    string `path:"vm"`
	Force bool   `query:"force" doc:"kill it first if it runs"`
}

// ConsoleLogRequest is the request of ConsoleLog.
type ConsoleLogRequest struct {
	VM       string `path:"vm"`
	MaxBytes int64  `query:"max_bytes" default:"1048576" min:"0" doc:"default 1048576"`
}

// The operations on VMs.
var (
	CreateVM = operation(Route{
		ID: "createVM", Method: http.MethodPost, Path: "/v1/vms", Summary: "Create a VM.", Status: http.StatusCreated,
		Errors: codes(banger.CodeNotFound, banger.CodeAmbiguous, banger.CodeExists, banger.CodeMissing),
	}, func(ctx context.Context, s banger.Services, q Body[banger.VMRequest]) (banger.VM, error) {
		return s.VMs.CreateVM(ctx, q.Body)
	})

	AddRemote = stream[Body[banger.RemoteRequest], RemoteLine](Route{
		ID: "addRemote", Method: http.MethodPost, Path: "/v1/remotes", Summary: "Add a host that SSH reaches as a VM.",
		Errors: codes(banger.CodeExists, banger.CodeQuestion, banger.CodeMissing),
	})

	UnlockRemote = stream[VMBody[banger.RemoteAnswers], RemoteLine](Route{
		ID: "unlockRemote", Method: http.MethodPost, Path: vmPath + "/unlock", Summary: "Log in to a remote host with answers that only its user has.",
		Errors: codes(banger.CodeState, banger.CodeQuestion, banger.CodeMissing),
	})

	ListVMs = operation(Route{
		ID: "listVMs", Method: http.MethodGet, Path: "/v1/vms", Summary: "List the VMs, oldest first.",
	}, func(ctx context.Context, s banger.Services, _ Empty) (VMList, error) {
		vms, err := s.VMs.ListVMs(ctx)
		return VMList{list(vms)}, err
	})

	GetVM = operation(Route{
		ID: "getVM", Method: http.MethodGet, Path: vmPath, Summary: "Show a VM.",
	}, func(ctx context.Context, s banger.Services, q VMRef) (banger.VM, error) {
		return s.VMs.GetVM(ctx, q.VM)
	})

	DeleteVM = operation(Route{
		ID: "deleteVM", Method: http.MethodDelete, Path: vmPath, Summary: "Delete a VM, its disks and its sessions.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q DeleteVMRequest) (None, error) {
		return None{}, s.VMs.DeleteVM(ctx, q.VM, q.Force)
	})

	SetVM = operation(Route{
		ID: "setVM", Method: http.MethodPatch, Path: vmPath, Summary: "Change settings of a VM; settings that the body omits stay as they are.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q VMBody[banger.VMUpdate]) (banger.VM, error) {
		return s.VMs.SetVM(ctx, q.VM, q.Body)
	})

	RenameVM = operation(Route{
		ID: "renameVM", Method: http.MethodPost, Path: vmPath + "/rename", Summary: "Give a VM another name.",
		Errors: codes(banger.CodeExists),
	}, func(ctx context.Context, s banger.Services, q VMBody[banger.VMRename]) (banger.VM, error) {
		return s.VMs.RenameVM(ctx, q.VM, q.Body)
	})

	StartVM = operation(Route{
		ID: "startVM", Method: http.MethodPost, Path: vmPath + "/start", Summary: "Start a VM; answers when its guest responds.",
		Errors: codes(banger.CodeState, banger.CodeMissing, banger.CodeCorrupt),
	}, func(ctx context.Context, s banger.Services, q VMRef) (banger.VM, error) {
		return s.VMs.StartVM(ctx, q.VM)
	})

	StopVM = operation(Route{
		ID: "stopVM", Method: http.MethodPost, Path: vmPath + "/stop", Summary: "Shut down a VM; answers when nothing of its machine is left.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q VMQuery[banger.VMStopRequest]) (banger.VM, error) {
		return s.VMs.StopVM(ctx, q.VM, q.Request)
	})

	ConsoleLog = operation(Route{
		ID: "consoleLog", Method: http.MethodGet, Path: vmPath + "/console-log", Summary: "Read the end of what the guest's kernel and init printed.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q ConsoleLogRequest) ([]byte, error) {
		return s.VMs.ConsoleLog(ctx, q.VM, q.MaxBytes)
	})

	SSHAccess = operation(Route{
		ID: "sshAccess", Method: http.MethodGet, Path: vmPath + "/ssh", Summary: "Show how an OpenSSH client on this host logs in to the guest.",
		Errors: codes(banger.CodeState),
	}, func(ctx context.Context, s banger.Services, q VMRef) (banger.SSHAccess, error) {
		return s.VMs.SSHAccess(ctx, q.VM)
	})
)

func vmRoutes() []Route {
	return []Route{
		CreateVM.Route, AddRemote.Route, UnlockRemote.Route, ListVMs.Route, GetVM.Route, DeleteVM.Route, SetVM.Route,
		RenameVM.Route, StartVM.Route, StopVM.Route, ConsoleLog.Route, SSHAccess.Route,
	}
}
